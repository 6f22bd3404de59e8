/** What every case of the conformance suite starts from: two engines, connections between them, and the last checks. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { AmbitError } from '@ambit/base/errors';
import type {
  Connection,
  ConnectOptions,
  Engine,
  EngineTimer,
  Listener,
  ListenOptions,
  SocketAddress,
  TlsContext,
} from '@ambit/net/engine';
import { CLIENT_IDENTITY, materialFor, SERVER_IDENTITY } from '../authority.ts';
import { Party, type PartyOptions } from './party.ts';

/** Engines and time, real or simulated. */
export interface EngineWorld {
  /** Two engines, so that each one's counters can be told apart. */
  readonly client: Engine;
  readonly server: Engine;
  /** An address to connect to that never answers. */
  blackhole(): SocketAddress;
  /** Lets time pass until `done`; rejects when `timeoutMs` were not enough. */
  settle(done: () => boolean, timeoutMs: number): Promise<void>;
  /** Frees what the world has beside its engines, which are closed by then. */
  close(): void;
}

export type MakeWorld = () => EngineWorld;

const IP = '127.0.0.1';
/** Of the world's time; on a real one only a failing case comes near it. */
const SETTLE_MS = 30_000;

export class Attempt {
  connection: Connection | null = null;
  error: AmbitError | null = null;
  timer: EngineTimer | null = null;

  get over(): boolean {
    return this.connection !== null || this.error !== null;
  }
}

export class Kit {
  readonly world: EngineWorld;
  readonly client: Engine;
  readonly server: Engine;
  readonly violations: string[] = [];
  /** Handlers that the case lets throw. */
  faultsExpected = 0;

  constructor(world: EngineWorld) {
    this.world = world;
    this.client = world.client;
    this.server = world.server;
  }

  party(options: PartyOptions = {}): Party {
    return new Party(this.violations, options);
  }

  settle(done: () => boolean, timeoutMs = SETTLE_MS): Promise<void> {
    return this.world.settle(done, timeoutMs);
  }

  /** Lets `durationMs` of the world's time pass. */
  async pass(durationMs: number): Promise<void> {
    let over = false;
    this.client.after(durationMs, () => {
      over = true;
    });
    await this.settle(() => over);
  }

  listen(onConnection: (connection: Connection) => void, options: Partial<ListenOptions> = {}): Listener {
    return this.server.listen({ ip: IP, port: 0, ...options }, onConnection);
  }

  connect(to: SocketAddress, party: Party, options: Partial<ConnectOptions> = {}): Attempt {
    return this.connectWith(to, (connection) => party.attach(connection), options);
  }

  connectWith(
    to: SocketAddress,
    use: (connection: Connection) => void,
    options: Partial<ConnectOptions> = {},
  ): Attempt {
    const attempt = new Attempt();
    let returned = false;
    const note = (): void => {
      if (!returned) this.violations.push('no call back before connect returned');
      if (attempt.over) this.violations.push('one outcome of a connect');
    };
    attempt.timer = this.client.connect(
      { ip: to.ip, port: to.port, ...options },
      {
        onOpen: (connection) => {
          note();
          attempt.connection = connection;
          use(connection);
        },
        onFail: (error) => {
          note();
          attempt.error = error;
        },
      },
    );
    returned = true;
    return attempt;
  }

  /** Connects two parties and waits until both have their stream. */
  async join(client: Party, server: Party, secure: boolean): Promise<Listener> {
    const listener = this.listen((connection) => server.attach(connection), await this.serverTls(secure));
    const attempt = this.connect(listener.address, client, await this.clientTls(secure));
    await this.settle(() => attempt.over && (attempt.error !== null || server.stream !== null));
    assert.equal(attempt.error, null);
    return listener;
  }

  async serverTls(secure: boolean): Promise<{ tls?: TlsContext }> {
    return secure ? { tls: this.server.tlsContext(await materialFor(SERVER_IDENTITY)) } : {};
  }

  async clientTls(secure: boolean): Promise<{ tls?: TlsContext }> {
    return secure ? { tls: this.client.tlsContext(await materialFor(CLIENT_IDENTITY)) } : {};
  }

  async bothClosed(a: Party, b: Party): Promise<void> {
    await this.settle(() => a.closed !== undefined && b.closed !== undefined);
  }

  async finish(): Promise<void> {
    const engines = new Set([this.client, this.server]);
    let closed = 0;
    for (const engine of engines) {
      void engine.close().then(() => {
        closed += 1;
      });
    }
    await this.settle(() => closed === engines.size);
    let faults = 0;
    for (const engine of engines) {
      assert.equal(engine.counters.connections, 0, 'no connection is left');
      assert.equal(engine.counters.queuedBytes, 0, 'no bytes are left');
      faults += engine.counters.handlerFaults;
    }
    assert.deepEqual(this.violations, []);
    assert.equal(faults, this.faultsExpected, 'handlers that threw');
  }
}

/** Registers cases of one implementation. */
export class Suite {
  readonly name: string;
  readonly makeWorld: MakeWorld;

  constructor(name: string, makeWorld: MakeWorld) {
    this.name = name;
    this.makeWorld = makeWorld;
  }

  case(sentence: string, run: (kit: Kit) => Promise<void>): void {
    test(`${this.name}: ${sentence}`, async () => {
      const world = this.makeWorld();
      try {
        const kit = new Kit(world);
        await run(kit);
        await kit.finish();
      } finally {
        void world.client.close();
        void world.server.close();
        world.close();
      }
    });
  }

  /** One case over TCP and one over TLS. */
  caseBoth(sentence: string, run: (kit: Kit, secure: boolean) => Promise<void>): void {
    this.case(`${sentence} (TCP)`, (kit) => run(kit, false));
    this.case(`${sentence} (TLS)`, (kit) => run(kit, true));
  }
}
