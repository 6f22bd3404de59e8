/**
 * The target: its own process with one listener per kind of load. Prints its ports as one line of JSON, then serves
 * until its standard input ends. A connection that breaks its protocol is closed, which its client notices.
 */
import { libc } from '@ambit/platform/ffi';
import { Region } from '@ambit/platform/region';
import { CHUNK_BYTES, OPEN_FILES } from './limits.ts';
import { mapPattern, matchesPattern, phaseOf } from './pattern.ts';
import { Poller, READABLE, type Ready, WRITABLE } from './poller.ts';
import { acceptFrom, endWriting, listenOn, raiseOpenFiles, readInto, writeFrom } from './sockets.ts';
import { writeLine } from './stdout.ts';
import { COUNT_BYTES, REPORT_BYTES, type TargetPorts, writeReport } from './target-protocol.ts';

const pattern = mapPattern();
const chunk = Region.map(CHUNK_BYTES);

abstract class Service implements Ready {
  readonly poller: Poller;
  readonly fd: number;
  readonly slot: number;

  constructor(poller: Poller, fd: number) {
    this.poller = poller;
    this.fd = fd;
    this.slot = poller.add(fd, READABLE, this);
  }

  onReady(events: number): void {
    try {
      this.serve(events);
    } catch (error) {
      process.stderr.write(`target: ${error instanceof Error ? error.message : error}\n`);
      this.close();
    }
  }

  protected abstract serve(events: number): void;

  protected close(): void {
    this.poller.close(this.fd, this.slot);
  }
}

/** Gives back what it gets. Messages are small and answered before the next, so a full socket is a fault. */
class Echo extends Service {
  protected serve(): void {
    const count = readInto(this.fd, chunk.address, CHUNK_BYTES);
    if (count === 0) this.close();
    else if (count > 0 && writeFrom(this.fd, chunk.address, count) !== count) throw new Error('echo found no room');
  }
}

/** Checks the pattern up to the end of the stream, then reports how many bytes came and whether all were right. */
class Sink extends Service {
  #received = 0;
  #intact = true;

  protected serve(): void {
    const count = readInto(this.fd, chunk.address, CHUNK_BYTES);
    if (count > 0) {
      this.#intact &&= matchesPattern(chunk.bytes, count, pattern.bytes, phaseOf(this.#received));
      this.#received += count;
    } else if (count === 0) {
      writeReport(chunk.view, { received: this.#received, intact: this.#intact });
      writeFrom(this.fd, chunk.address, REPORT_BYTES);
      this.close();
    }
  }
}

/** Reads how many bytes are wanted, sends them and ends its side; closes when the client has closed. */
class Source extends Service {
  #headBytes = 0;
  readonly #head = new Uint8Array(COUNT_BYTES);
  #wanted = 0;
  #sent = 0;

  protected serve(events: number): void {
    if (this.#headBytes < COUNT_BYTES) this.#readHead();
    else if (events & WRITABLE) this.#fill();
    else if (readInto(this.fd, chunk.address, CHUNK_BYTES) === 0) this.close();
  }

  #readHead(): void {
    const count = readInto(this.fd, chunk.address, COUNT_BYTES - this.#headBytes);
    if (count === 0) this.close();
    if (count <= 0) return;
    this.#head.set(chunk.bytes.subarray(0, count), this.#headBytes);
    this.#headBytes += count;
    if (this.#headBytes < COUNT_BYTES) return;
    this.#wanted = Number(new DataView(this.#head.buffer).getBigUint64(0));
    this.poller.change(this.fd, this.slot, WRITABLE);
  }

  #fill(): void {
    const length = Math.min(CHUNK_BYTES, this.#wanted - this.#sent);
    const count = writeFrom(this.fd, pattern.at(phaseOf(this.#sent), length), length);
    if (count > 0) this.#sent += count;
    if (this.#sent < this.#wanted) return;
    endWriting(this.fd);
    this.poller.change(this.fd, this.slot, READABLE);
  }
}

class Acceptor implements Ready {
  readonly #listener: number;
  readonly #serve: (fd: number) => void;

  constructor(listener: number, serve: (fd: number) => void) {
    this.#listener = listener;
    this.#serve = serve;
  }

  onReady(): void {
    for (let fd = acceptFrom(this.#listener); fd >= 0; fd = acceptFrom(this.#listener)) this.#serve(fd);
  }
}

function listen(poller: Poller, ip: string, serve: (fd: number) => void): number {
  const { fd, port } = listenOn(ip);
  poller.add(fd, READABLE, new Acceptor(fd, serve));
  return port;
}

function main(ip: string): void {
  raiseOpenFiles(OPEN_FILES);
  const poller = new Poller();
  const ports: TargetPorts = {
    echo: listen(poller, ip, (fd) => new Echo(poller, fd)),
    sink: listen(poller, ip, (fd) => new Sink(poller, fd)),
    source: listen(poller, ip, (fd) => new Source(poller, fd)),
  };
  let stopped = false;
  // Whoever started this process holds the other end: gone, for whatever reason, means stop.
  poller.add(0, READABLE, {
    onReady: () => {
      stopped = libc.read(0, chunk.address, CHUNK_BYTES) <= 0;
    },
  });
  writeLine(JSON.stringify(ports));
  poller.run(() => stopped, true);
  process.exit(0);
}

main(process.argv[2] as string);
