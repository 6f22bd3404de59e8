/** Delta xDS between the client and a model of istiod, with pushes, refusals and broken streams in any order. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { silentLog } from '@ambit/base/log';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '@ambit/proto/discovery';
import fc from 'fast-check';
import { KeepingConsumer, type Made, type Quality, respond } from './consumer.fixture.ts';
import { DeltaClient } from './delta-client.ts';
import { ztunnelNode } from './node.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from './resource.ts';

const TYPES = [ADDRESS_TYPE, AUTHORIZATION_TYPE];
const NAMES = ['a', 'b', 'c', 'd', 'e'];
const node = ztunnelNode({ podName: 'zt', podNamespace: 'sys', nodeName: 'n' });

/** One type on one stream: what the client is to have, and what it is believed to have. */
interface Subscription {
  isWildcard: boolean;
  readonly names: Set<string>;
  readonly sent: Map<string, string>;
}

class ModelServer {
  readonly resources = new Map(TYPES.map((type) => [type, new Map<string, Made>()]));
  readonly #streams = new Map<string, Subscription>();
  /** On the way to the client; lost with the stream. */
  readonly #onTheWay: DeltaDiscoveryResponse[] = [];
  #counter = 0;

  set(type: string, name: string, quality: Quality): void {
    this.#counter += 1;
    const mark = `${this.#counter}`;
    // As istiod, policies have no version.
    const version = type === ADDRESS_TYPE ? mark : '';
    this.resources.get(type)?.set(name, { name, mark, quality, version });
  }

  remove(type: string, name: string): void {
    this.resources.get(type)?.delete(name);
  }

  disconnect(): void {
    this.#streams.clear();
    this.#onTheWay.length = 0;
  }

  request(request: DeltaDiscoveryRequest): void {
    const { typeUrl, resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe } = request;
    const known = this.#streams.get(typeUrl);
    if (known !== undefined) {
      assert.equal(request.node, undefined, 'the node comes in the first request of a type only');
      const resend = subscribe.filter((name) => name !== '*');
      for (const name of resend) {
        known.names.add(name);
        known.sent.delete(name);
      }
      if (resend.length > 0) this.push(typeUrl, new Set(resend));
      return;
    }
    assert.equal(request.node?.id, node.id);
    const versions = Object.entries(request.initialResourceVersions);
    this.#streams.set(typeUrl, {
      isWildcard: subscribe.length === 0 && !unsubscribe.includes('*'),
      names: new Set(versions.map(([name]) => name)),
      sent: new Map(versions),
    });
    // A first answer always comes, if only to say that there is nothing.
    this.push(typeUrl, new Set(versions.map(([name]) => name)), true);
  }

  /** All that changed since the last push; `asked` names get an answer even where there is nothing. */
  push(typeUrl: string, asked: ReadonlySet<string> = new Set(), isFirst = false): void {
    const stream = this.#streams.get(typeUrl);
    if (stream === undefined) return;
    const { isWildcard, names, sent } = stream;
    const present = this.resources.get(typeUrl) as Map<string, Made>;
    const made: Made[] = [];
    for (const one of present.values()) {
      if (!isWildcard && !names.has(one.name)) continue;
      const isKnown = isFirst
        ? one.version !== '' && sent.get(one.name) === one.version
        : sent.get(one.name) === one.mark;
      if (!isKnown) made.push(one);
    }
    const removed = [...new Set([...sent.keys(), ...asked])].filter((name) => !present.has(name));
    sent.clear();
    for (const one of present.values()) if (isWildcard || names.has(one.name)) sent.set(one.name, one.mark);
    if (made.length + removed.length === 0 && !isFirst) return;
    this.#counter += 1;
    this.#onTheWay.push(respond(typeUrl, `n${this.#counter}`, made, removed));
  }

  deliver(): DeltaDiscoveryResponse | undefined {
    return this.#onTheWay.shift();
  }
}

class Session {
  readonly server = new ModelServer();
  readonly consumer = new KeepingConsumer();
  readonly client: DeltaClient;
  isConnected = false;

  constructor(onDemand: boolean) {
    this.client = new DeltaClient({ node, onDemand }, { consumer: this.consumer, log: silentLog });
  }

  connect(): void {
    this.server.disconnect();
    this.isConnected = true;
    for (const request of this.client.open()) this.server.request(request);
  }

  disconnect(): void {
    this.server.disconnect();
    this.isConnected = false;
  }

  demand(name: string): void {
    const request = this.client.demand(name);
    if (this.isConnected) this.server.request(request);
  }

  /** False when nothing was on its way. `lostAck`: the stream breaks between applying and acknowledging. */
  deliver(lostAck: boolean): boolean {
    const response = this.server.deliver();
    if (response === undefined) return false;
    const reply = this.client.receive(response);
    if (lostAck) this.disconnect();
    else this.server.request(this.client.acknowledge(reply));
    return true;
  }

  settle(): void {
    for (const type of TYPES) this.server.push(type);
    while (this.deliver(false));
  }
}

const typeArbitrary = fc.constantFrom(...TYPES);
const nameArbitrary = fc.constantFrom(...NAMES);
const stepArbitrary = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('set' as const),
      type: typeArbitrary,
      name: nameArbitrary,
      quality: fc.constantFrom<Quality>('good', 'good', 'good', 'bad', 'broken'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), type: typeArbitrary, name: nameArbitrary }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('push' as const), type: typeArbitrary }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('deliver' as const), lostAck: fc.nat(9).map((n) => n === 0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('connect' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('disconnect' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('demand' as const), name: nameArbitrary }) },
);
type Step = typeof stepArbitrary extends fc.Arbitrary<infer T> ? T : never;

function take(session: Session, step: Step, onDemand: boolean): void {
  if (step.do === 'set') session.server.set(step.type, step.name, step.quality);
  else if (step.do === 'remove') session.server.remove(step.type, step.name);
  else if (step.do === 'push') session.server.push(step.type);
  else if (step.do === 'deliver') session.deliver(step.lostAck);
  else if (step.do === 'connect') session.connect();
  else if (step.do === 'disconnect') session.disconnect();
  else if (onDemand) session.demand(step.name);
}

/** What the server has and the client could take is there; what the server has not is not; the rest is older or missing. */
function assertConverged({ server, consumer }: Session): void {
  for (const type of TYPES) {
    const kept = type === ADDRESS_TYPE ? consumer.addresses : consumer.authorizations;
    for (const name of NAMES) {
      const wanted = server.resources.get(type)?.get(name);
      if (wanted === undefined || wanted.quality === 'good')
        assert.equal(kept.get(name), wanted?.mark, `${type} ${name}`);
      else assert.notEqual(kept.get(name), wanted.mark);
    }
  }
}

test('however pushes, removals, refusals and reconnects interleave, all ends in the state of the server', () => {
  fc.assert(
    fc.property(fc.array(stepArbitrary, { maxLength: 60 }), (steps) => {
      const session = new Session(false);
      session.connect();
      for (const step of steps) take(session, step, false);
      if (!session.isConnected) session.connect();
      session.settle();
      assertConverged(session);
      session.connect();
      session.settle();
      assertConverged(session);
    }),
    { numRuns: 1500 },
  );
});

test('on demand the same holds for every name, once it was asked for', () => {
  fc.assert(
    fc.property(fc.array(stepArbitrary, { maxLength: 60 }), (steps) => {
      const session = new Session(true);
      session.connect();
      for (const step of steps) take(session, step, true);
      if (!session.isConnected) session.connect();
      session.settle();
      for (const name of NAMES) session.demand(name);
      session.settle();
      assertConverged(session);
      session.connect();
      session.settle();
      assertConverged(session);
    }),
    { numRuns: 1500 },
  );
});

test('a refused version is offered again on the next stream, although its elder is still in use', () => {
  const session = new Session(false);
  session.server.set(ADDRESS_TYPE, 'a', 'good');
  session.connect();
  session.settle();
  session.server.set(ADDRESS_TYPE, 'a', 'bad');
  session.settle();
  assert.equal(session.consumer.addresses.get('a'), '1');
  session.connect();
  const offered: string[] = [];
  for (let response = session.server.deliver(); response !== undefined; response = session.server.deliver()) {
    offered.push(...response.resources.map(({ name }) => name));
  }
  assert.deepEqual(offered, ['a']);
});
