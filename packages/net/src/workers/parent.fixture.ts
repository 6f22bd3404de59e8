/** A parent to be killed: starts two echo children on a listener of its own and says where. */
import { silentLog } from '@ambit/base/log';
import { bindSocket, listenSocket, localAddress, openSocket } from '@ambit/platform/socket';
import { createReactor } from '../reactor/index.ts';
import { WorkerGroup } from './index.ts';

const fd = openSocket({ family: 4, type: 'stream' });
bindSocket(fd, '127.0.0.1', 0);
listenSocket(fd, 16);
let joined = 0;
const group = new WorkerGroup({
  reactor: createReactor(),
  count: 2,
  entry: new URL('./echo-child.fixture.ts', import.meta.url),
  log: silentLog,
  snapshot: () => ['hello'],
  onMessage() {
    joined += 1;
    if (joined === 2) process.stdout.write(`${JSON.stringify({ port: localAddress(fd).port, pids: group.pids })}\n`);
  },
});
group.addListener({ id: 'echo', fd, purpose: 'echo' });
