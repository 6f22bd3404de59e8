/** The data child: the reactor, and on it the proxies of both pods. All that it knows comes from its parent. */
import { createReactor } from '@ambit/net/reactor';
import { type Json, joinParent } from '@ambit/net/workers';
import { asJson, asPodState, asPurpose } from './messages.ts';
import { PodProxy } from './proxy.ts';

const reactor = createReactor({ onFault: (thrown) => parent.log(`a handler failed: ${thrown}`) });
const pods = new Map<string, PodProxy>();
const listeners = new Map<string, { close(): void }>();

const parent = joinParent({
  reactor,
  onMessage(_epoch, body) {
    const state = asPodState(body);
    pods.set(state.name, new PodProxy(reactor, state, pods, (report) => parent.send(asJson(report))));
  },
  onListener: (purpose, fd, id) => listeners.set(id, listen(purpose, fd)),
  onListenerRemoved(id) {
    listeners.get(id)?.close();
    listeners.delete(id);
  },
  async onDrain(deadlineMs) {
    await Promise.all([...pods.values()].map((pod) => pod.drain(deadlineMs)));
  },
});

function listen(purpose: Json, fd: number): { close(): void } {
  const { pod, port } = asPurpose(purpose);
  const proxy = pods.get(pod);
  if (proxy === undefined) throw new Error(`a listener of an unknown pod: ${pod}`);
  if (port === 'outbound') return reactor.listen({ ip: '', port: 0, fd }, (connection) => proxy.outbound(connection));
  if (port === 'plaintext') return reactor.listen({ ip: '', port: 0, fd }, (connection) => proxy.plaintext(connection));
  return reactor.listen({ ip: '', port: 0, fd, tls: proxy.tls }, (connection) => proxy.server.accept(connection));
}
