/** An HTTP request straight from this process over any socket that the reactor can make. */
import type { ConnectOptions, Engine } from '@ambit/net/engine';

const ANSWER_MAX_CHARS = 64 * 1024;

/** All that the other side sent; empty when it closed without a word. Rejects when it cannot be reached, or resets. */
export function fetchPlain(engine: Engine, options: ConnectOptions): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const request = new TextEncoder().encode(`GET / HTTP/1.0\r\nHost: ${options.ip}\r\n\r\n`);
  let answer = '';
  engine.connect(options, {
    onFail: reject,
    onOpen(connection) {
      connection.receive({
        creditBytes: () => ANSWER_MAX_CHARS - answer.length,
        onData(bytes, offset, length) {
          answer += Buffer.from(bytes.subarray(offset, offset + length)).toString('latin1');
        },
        onEnd: () => connection.end(),
        onWritable: () => {},
        onClose: (error) => (error === null ? resolve(answer) : reject(error)),
      });
      connection.write(request, 0, request.length);
    },
  });
  return promise;
}
