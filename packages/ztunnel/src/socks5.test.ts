import assert from 'node:assert/strict';
import test from 'node:test';
import type { AmbitError } from '@ambit/base/errors';
import type { Connection, Receiver, SocketAddress } from '@ambit/net/engine';
import { type MemoryEngine, MemoryNetwork } from '@ambit/net/memory';
import { LIMITS } from './limits.ts';
import { acceptSocks5, type Socks5Deps } from './socks5.ts';

const PROXY = { ip: '127.0.0.1', port: 15_080 };
const GREETING = [5, 1, 0];
const SUCCESS = '0500 05000001000000000000';

/** Keeps what it is given, as hex. */
class Recorder implements Receiver {
  text = '';
  ended = false;
  closed: AmbitError | null | undefined = undefined;
  creditBytes(): number {
    return 1000;
  }
  onData(bytes: Uint8Array, offset: number, length: number): void {
    this.text += Buffer.from(bytes.subarray(offset, offset + length)).toString('hex');
  }
  onEnd(): void {
    this.ended = true;
  }
  onWritable(): void {}
  onClose(error: AmbitError | null): void {
    this.closed = error;
  }
}

interface Result {
  readonly told: string;
  readonly targets: readonly string[];
  /** What the client sent behind its request, as the target's path received it. */
  readonly payload: string;
  readonly closed: AmbitError | null | undefined;
  readonly ended: boolean;
}

const HOSTS: Readonly<Record<string, string>> = { 'web.shop A': '10.0.0.9', 'web.shop AAAA': '2001:db8::9' };

function lookUp(engine: MemoryEngine, delayMs: number): NonNullable<Socks5Deps['resolve']> {
  return (name, wantsIpv6, onAddress) => {
    const address = HOSTS[`${name} ${wantsIpv6 ? 'AAAA' : 'A'}`] ?? null;
    if (delayMs > 0) return engine.after(delayMs, () => onAddress(address));
    onAddress(address);
    return null;
  };
}

/** Sends everything at once, as an impatient client does, to a proxy on the client's address family. */
function converse(
  sent: readonly number[],
  given: Partial<{ seed: number; ip: string; resolves: boolean; delayMs: number; untilMs: number; ends: boolean }> = {},
): Result {
  const network = new MemoryNetwork({ seed: given.seed ?? 1 });
  const engine = network.engine('proxy');
  const targets: string[] = [];
  const payload = new Recorder();
  const deps: Socks5Deps = {
    engine,
    resolve: given.resolves === false ? null : lookUp(engine, given.delayMs ?? 0),
    proceed: (connection: Connection, target: SocketAddress) => {
      targets.push(`${target.ip} ${target.port}`);
      connection.receive(payload);
    },
  };
  const address = { ...PROXY, ip: given.ip ?? PROXY.ip };
  engine.listen(address, (connection) => acceptSocks5(connection, deps));
  const client = new Recorder();
  network.engine('client').connect(address, {
    onOpen: (connection) => {
      connection.receive(client);
      connection.write(Uint8Array.from(sent), 0, sent.length);
      if (given.ends === true) connection.end();
    },
    onFail: () => assert.fail(),
  });
  network.run(given.untilMs ?? 5000);
  const told = client.text.replace(/^0500/, '0500 ').trim();
  return { told, targets, payload: payload.text, closed: client.closed, ended: client.ended };
}

function domain(name: string, port: readonly number[] = [0, 80]): number[] {
  return [...GREETING, 5, 1, 0, 3, name.length, ...Buffer.from(name), ...port];
}

const IPV4_REQUEST = [...GREETING, 5, 1, 0, 1, 10, 0, 0, 1, 0x1f, 0x90];
const IPV6_REQUEST = [...GREETING, 5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), 7, 0, 80];
const MAPPED_REQUEST = [...GREETING, 5, 1, 0, 4, ...new Array<number>(10).fill(0), 255, 255, 10, 0, 0, 1, 0, 80];

const accepted: readonly (readonly [title: string, sent: readonly number[], target: string])[] = [
  ['an IPv4 address', IPV4_REQUEST, '10.0.0.1 8080'],
  ['an IPv6 address', IPV6_REQUEST, '2001:db8::7 80'],
  ['an IPv4 address in IPv6, as IPv4', MAPPED_REQUEST, '10.0.0.1 80'],
  ['a name', domain('web.shop'), '10.0.0.9 80'],
  ['a name that is an address', domain('10.0.0.3'), '10.0.0.3 80'],
  ['one method of several', [5, 3, 2, 1, 0, ...IPV4_REQUEST.slice(3)], '10.0.0.1 8080'],
];

for (const [title, sent, target] of accepted) {
  test(`accepted: ${title}; what follows is for the target, however it is cut`, () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const result = converse([...sent, 0xca, 0xfe], { seed });
      assert.deepEqual([result.told, result.targets, result.payload], [SUCCESS, [target], 'cafe']);
      assert.equal(result.closed, undefined);
    }
  });
}

test('a name is looked up for the family of the client', () => {
  assert.deepEqual(converse(domain('web.shop'), { ip: '::1' }).targets, ['2001:db8::9 80']);
});

test('an answer that takes its time is waited for', () => {
  const result = converse([...domain('web.shop'), 0xca], { delayMs: 500 });
  assert.deepEqual([result.told, result.targets, result.payload], [SUCCESS, ['10.0.0.9 80'], 'ca']);
});

const failure = (code: number): string => `05${code.toString().padStart(2, '0')}000100000000${'0000'}`;

const refused: readonly (readonly [title: string, sent: readonly number[], told: string])[] = [
  ['another version', [4, 1, 0, 80, 10, 0, 0, 1, 0], failure(7)],
  ['no method at all', [5, 0], failure(7)],
  ['only methods with a password', [5, 2, 1, 2], failure(7)],
  ['another version in the request', [...GREETING, 4, 1, 0, 1, 10], `0500 ${failure(7)}`],
  ['BIND', [...GREETING, 5, 2, 0, 1, 10, 0, 0, 1, 0, 80], `0500 ${failure(7)}`],
  ['UDP ASSOCIATE', [...GREETING, 5, 3, 0, 1, 10, 0, 0, 1, 0, 80], `0500 ${failure(7)}`],
  ['an unknown kind of address', [...GREETING, 5, 1, 0, 2, 10, 0, 0, 1, 0, 80], `0500 ${failure(7)}`],
  ['a name that nobody knows', domain('nobody.shop'), `0500 ${failure(4)}`],
  ['an empty name', domain(''), `0500 ${failure(4)}`],
];

for (const [title, sent, told] of refused) {
  test(`refused: ${title}; the rest is dropped and the end awaited`, () => {
    for (let seed = 0; seed < 10; seed += 1) {
      const result = converse([...sent, ...new Array<number>(9000).fill(1)], { seed, ends: true });
      assert.deepEqual([result.told, result.targets, result.closed], [told, [], null]);
    }
  });
}

test('refused: any name where no DNS proxy runs', () => {
  assert.equal(converse(domain('web.shop'), { resolves: false }).told, `0500 ${failure(4)}`);
});

test('a client that ends in the middle is told of a general failure', () => {
  for (const sent of [[], [5], GREETING, IPV4_REQUEST.slice(0, -1)]) {
    const result = converse(sent, { ends: true });
    assert.ok(result.told.endsWith(failure(1)) && result.closed === null, result.told);
  }
});

test('a client that stops in the middle, or will not end, or waits for a name too long, is reset', () => {
  const untilMs = LIMITS.socks5HandshakeMs + 100;
  const cases = [
    converse([5], { untilMs }),
    converse([4, 1], { untilMs }),
    converse(domain('web.shop'), { untilMs, delayMs: 60_000 }),
  ];
  for (const { closed, targets } of cases) {
    assert.equal(closed?.code, 'CONNECTION_RESET');
    assert.deepEqual(targets, []);
  }
  assert.equal(converse([5], { untilMs: LIMITS.socks5HandshakeMs - 100 }).closed, undefined);
});
