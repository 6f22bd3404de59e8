/** Ends that are not clean: resets, handlers that throw, the engine going away. */
import assert from 'node:assert/strict';
import { AmbitError } from '@ambit/base/errors';
import { aborted } from '@ambit/net/errors';
import type { Kit, Suite } from './kit.ts';
import { EchoParty, Party, type PartyOptions } from './party.ts';

const MB = 1024 * 1024;
const OVERFULL_BYTES = 32 * MB;

export function closingCases(suite: Suite): void {
  suite.caseBoth('an abort resets the other side, also when it has unread bytes', abortWithPending);
  suite.caseBoth('a stream that finishes sends all it has to a slow reader that goes on sending', finishing);
  suite.caseBoth('a stream that finishes and never gets rid of its bytes can be aborted', finishingAborted);
  suite.caseBoth('an abort with bytes queued gives their memory back', abortWithQueued);
  suite.caseBoth('a stream may be aborted from each of its callbacks, and used after that to no effect', abortInside);
  for (const callback of ['creditBytes', 'onData', 'onEnd', 'onWritable', 'onClose'] as const) {
    suite.caseBoth(`an exception in ${callback} costs that connection alone`, (kit, secure) =>
      throwing(kit, secure, callback),
    );
  }
  suite.caseBoth('an exception in onConnection or onOpen costs that connection alone', throwingHandover);
  suite.case('an exception in onFail or a timer is counted and stops nothing', throwingElsewhere);
  suite.caseBoth('closing the engine closes everything of it', engineCloses);
}

async function abortWithPending(kit: Kit, secure: boolean): Promise<void> {
  for (const budgetBytes of [0, 10 * MB]) {
    const client = kit.party({ sendBytes: 100_000, endWhenSent: false });
    const server = kit.party({ budgetBytes });
    await kit.join(client, server, secure);
    await kit.pass(10);
    const error = aborted('the test gave up');
    client.call(() => client.stream!.abort(error));
    await kit.bothClosed(client, server);
    assert.equal(client.closed, error);
    assert.equal(server.closed?.code, 'CONNECTION_RESET');
    assert.equal(server.closed?.side, 'downstream');
  }
}

async function finishing(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ sendBytes: OVERFULL_BYTES, endWhenSent: false });
  const server = kit.party({ sendBytes: MB, endWhenSent: false, budgetBytes: 0 });
  await kit.join(client, server, secure);
  await kit.settle(() => client.pauses > 0 && client.received === MB);
  const error = aborted('the other side of the pair failed');
  client.call(() => client.stream!.finish(error));
  client.call(() => client.stream!.finish(aborted('a second time')));
  server.send(MB);
  await kit.pass(20);
  assert.equal(client.closed, undefined, 'it has bytes to send');
  assert.equal(client.received, MB, 'it takes nothing any more');
  server.grant(OVERFULL_BYTES);
  await kit.settle(() => server.ended);
  assert.equal(server.received, client.sent);
  server.call(() => server.stream!.end());
  await kit.bothClosed(client, server);
  assert.equal(client.closed, error);
  assert.equal(client.ended, false);
}

async function finishingAborted(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ sendBytes: OVERFULL_BYTES, endWhenSent: false });
  const server = kit.party({ endWhenSent: false, budgetBytes: 0 });
  await kit.join(client, server, secure);
  await kit.settle(() => client.pauses > 0);
  client.call(() => client.stream!.finish(aborted('the other side of the pair failed')));
  const error = aborted('the drain deadline has passed');
  client.call(() => client.stream!.abort(error));
  await kit.bothClosed(client, server);
  assert.equal(client.closed, error);
  assert.equal(kit.client.counters.queuedBytes, 0);
}

async function abortWithQueued(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ sendBytes: OVERFULL_BYTES });
  const server = kit.party({ budgetBytes: 0 });
  await kit.join(client, server, secure);
  await kit.settle(() => client.pauses > 0);
  await kit.pass(20);
  assert.ok(kit.client.counters.queuedBytes > 0);
  server.call(() => server.stream!.abort(aborted('the test gave up')));
  await kit.bothClosed(client, server);
  assert.equal(client.closed?.code, 'CONNECTION_RESET');
  assert.equal(client.closed?.side, 'upstream');
  assert.equal(kit.client.counters.queuedBytes, 0);
}

type Callback = 'creditBytes' | 'onData' | 'onEnd' | 'onWritable' | 'onClose';

/** Does `action` in one of its callbacks. */
class ActingParty extends Party {
  readonly callback: Callback;
  readonly action: (party: ActingParty) => void;
  acted = 0;

  constructor(kit: Kit, callback: Callback, action: (party: ActingParty) => void, options: PartyOptions = {}) {
    super(kit.violations, options);
    this.callback = callback;
    this.action = action;
  }

  override creditBytes(): number {
    const credit = super.creditBytes();
    this.#act('creditBytes');
    return credit;
  }

  override onData(bytes: Uint8Array, offset: number, length: number): void {
    super.onData(bytes, offset, length);
    this.#act('onData');
  }

  override onEnd(): void {
    super.onEnd();
    this.#act('onEnd');
  }

  override onWritable(): void {
    super.onWritable();
    this.#act('onWritable');
  }

  override onClose(error: AmbitError | null): void {
    super.onClose(error);
    this.#act('onClose');
  }

  #act(callback: Callback): void {
    if (callback !== this.callback) return;
    this.acted += 1;
    this.action(this);
  }
}

/** Brings `acting` (the server's side) to its callback. */
async function provoke(kit: Kit, secure: boolean, acting: ActingParty): Promise<Party> {
  const stalls = acting.callback === 'onWritable';
  const client = kit.party({
    sendBytes: 1000,
    endWhenSent: acting.callback === 'onEnd' || acting.callback === 'onClose',
    ...(stalls ? { budgetBytes: 0 } : {}),
  });
  await kit.join(client, acting, secure);
  if (stalls) {
    await kit.settle(() => acting.pauses > 0);
    client.grant(OVERFULL_BYTES);
  }
  await kit.settle(() => acting.acted > 0);
  return client;
}

function sendingFor(callback: Callback): PartyOptions {
  if (callback === 'onWritable') return { sendBytes: OVERFULL_BYTES };
  return { endWhenSent: callback === 'onClose' };
}

async function abortInside(kit: Kit, secure: boolean): Promise<void> {
  for (const callback of ['creditBytes', 'onData', 'onEnd', 'onWritable'] as const) {
    const error = aborted(`from ${callback}`);
    const acting = new ActingParty(
      kit,
      callback,
      (party) => {
        const stream = party.stream!;
        party.call(() => {
          stream.abort(error);
          stream.abort(aborted('a second time'));
          stream.write(new Uint8Array(10), 0, 10);
          stream.end();
          stream.resume();
          stream.writableBytes();
        });
      },
      sendingFor(callback),
    );
    const client = await provoke(kit, secure, acting);
    await kit.bothClosed(acting, client);
    assert.equal(acting.closed, error);
    assert.equal(acting.acted, 1, `${callback} is not called again`);
    assert.notEqual(client.closed, null);
  }
}

async function throwing(kit: Kit, secure: boolean, callback: Callback): Promise<void> {
  const witness = kit.party({ endWhenSent: false });
  const echo = new EchoParty(kit.violations);
  await kit.join(witness, echo, secure);
  const fault = new Error(`${callback} is broken`);
  const throwingParty = new ActingParty(
    kit,
    callback,
    () => {
      throw fault;
    },
    sendingFor(callback),
  );
  kit.faultsExpected = 1;
  const client = await provoke(kit, secure, throwingParty);
  await kit.bothClosed(throwingParty, client);
  assert.equal(throwingParty.acted, 1);
  if (callback === 'onClose') {
    assert.deepEqual([throwingParty.closed, client.closed], [null, null]);
  } else {
    assert.equal(throwingParty.closed?.code, 'HANDLER_FAULT');
    assert.equal(throwingParty.closed?.cause, fault);
    assert.equal(client.closed?.code, 'CONNECTION_RESET');
  }
  assert.equal(kit.server.counters.handlerFaults, 1);
  witness.send(100_000);
  await kit.settle(() => witness.received === 100_000);
  assert.equal(witness.closed, undefined);
}

async function throwingHandover(kit: Kit, secure: boolean): Promise<void> {
  const server = kit.party({ endWhenSent: false });
  const broken = kit.party();
  let accepted = 0;
  const listener = kit.listen(
    (connection) => {
      accepted += 1;
      if (accepted === 1) throw new Error('onConnection is broken');
      server.attach(connection);
    },
    await kit.serverTls(secure),
  );
  const tls = await kit.clientTls(secure);
  const first = kit.party({ endWhenSent: false });
  kit.connect(listener.address, first, tls);
  await kit.settle(() => first.closed !== undefined);
  assert.equal(first.closed?.code, 'CONNECTION_RESET');
  kit.connectWith(
    listener.address,
    (connection) => {
      broken.attach(connection);
      throw new Error('onOpen is broken');
    },
    tls,
  );
  await kit.settle(() => broken.closed !== undefined);
  assert.equal(broken.closed?.code, 'HANDLER_FAULT');
  kit.faultsExpected = 2;
  const last = kit.party({ sendBytes: 10, endWhenSent: false });
  const echo = kit.party({ endWhenSent: false });
  await kit.join(last, echo, secure);
  await kit.settle(() => echo.received === 10);
}

async function throwingElsewhere(kit: Kit): Promise<void> {
  const closed = kit.listen(() => {});
  closed.close();
  let later = false;
  kit.client.after(1, () => {
    throw new Error('a timer is broken');
  });
  kit.client.after(2, () => {
    later = true;
  });
  kit.client.connect(closed.address, {
    onOpen: () => {},
    onFail: () => {
      throw new Error('onFail is broken');
    },
  });
  kit.faultsExpected = 2;
  await kit.settle(() => later && kit.client.counters.handlerFaults === 2);
}

async function engineCloses(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ sendBytes: OVERFULL_BYTES });
  const server = kit.party({ budgetBytes: 0 });
  const listener = await kit.join(client, server, secure);
  await kit.settle(() => client.pauses > 0);
  let closed = false;
  server.call(() => {
    void kit.server.close().then(() => {
      closed = true;
    });
  });
  await kit.settle(() => closed);
  assert.equal(server.closed?.code, 'ENGINE_CLOSED');
  await kit.settle(() => client.closed !== undefined);
  assert.notEqual(client.closed, null);
  assert.equal(kit.server.counters.connections, 0);
  assert.equal(kit.server.counters.queuedBytes, 0);
  const late = kit.connect(listener.address, kit.party());
  await kit.settle(() => late.over);
  assert.equal(late.error?.code, 'CONNECT_REFUSED');
  for (const start of [() => kit.server.listen(listener.address, () => {}), () => connectNowhere(kit)]) {
    assert.throws(start, (thrown) => thrown instanceof AmbitError && thrown.code === 'ENGINE_CLOSED');
  }
}

function connectNowhere(kit: Kit): void {
  kit.server.connect({ ip: '127.0.0.1', port: 9 }, { onOpen: () => {}, onFail: () => {} });
}
