/**
 * A node with a bridge and two pods on it, made of network namespaces, and listeners that stand in for the proxy, for
 * programs and for DNS servers: a call is made, and where it arrives is the result of a test.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { IpFamily, SocketAddress } from '../address.ts';
import { EAGAIN, lastErrno } from '../errno.ts';
import { libc } from '../ffi.ts';
import { type TestNamespace, withTestNamespace } from '../namespace.fixture.ts';
import { openNamespace } from '../namespace.ts';
import { originalDestination } from '../original-destination.ts';
import { Region } from '../region.ts';
import { eventually } from '../socket.fixture.ts';
import * as socket from '../socket.ts';

export type HostName = 'node' | 'pod' | 'peer';
const HOSTS: readonly HostName[] = ['node', 'pod', 'peer'];

export const ADDRESS: Readonly<Record<HostName, Readonly<Record<IpFamily, string>>>> = {
  node: { 4: '10.66.0.1', 6: 'fd66::1' },
  pod: { 4: '10.66.0.2', 6: 'fd66::2' },
  peer: { 4: '10.66.0.3', 6: 'fd66::3' },
};
export const LOOPBACK: Readonly<Record<IpFamily, string>> = { 4: '127.0.0.1', 6: '::1' };
/** Routed to the node, where nobody answers. */
export const OUTSIDE: Readonly<Record<IpFamily, string>> = { 4: '203.0.113.7', 6: '2001:db8::7' };

export interface Call {
  readonly from: HostName;
  readonly to: SocketAddress;
  readonly mark?: number;
  readonly source?: SocketAddress;
  /** The source is not an address of the caller. */
  readonly transparent?: boolean;
}

export interface Arrival {
  /** Who took it: `pod:15001`. */
  readonly at: string;
  readonly meant: SocketAddress;
  readonly from: string;
}

/** Both ends of a call that arrived, open until the test ends. */
export interface Connection {
  readonly client: number;
  readonly server: number;
  readonly arrival: Arrival;
}

/** What programs listen on, in pods and peers alike. */
const PROGRAM_PORTS = [53, 8080, 9090, 9100];
const DATAGRAM_PORTS = [53, 5353];

export class World {
  readonly #hosts = new Map<HostName, { namespace: TestNamespace; fd: number }>();
  readonly #listeners: { name: string; fd: number }[] = [];
  readonly #datagrams: { name: string; fd: number }[] = [];
  readonly #descriptors: number[] = [];

  constructor(namespaces: Readonly<Record<HostName, TestNamespace>>) {
    for (const name of HOSTS) {
      const namespace = namespaces[name];
      this.#hosts.set(name, { namespace, fd: this.#own(openNamespace(namespace.path)) });
    }
    const { pod, peer, node } = namespaces;
    node.run('sh', '-c', NODE_SETUP);
    for (const [name, namespace] of [['pod', pod] as const, ['peer', peer] as const]) {
      node.run('sh', '-c', attachSetup(name, namespace.name));
      namespace.run('sh', '-c', podSetup(name));
    }
    for (const port of [15_001, 15_006, 15_008]) this.#listen('pod', '::', port);
    for (const ip of Object.values(LOOPBACK)) {
      this.#listen('pod', ip, 15_053);
      this.#receive('pod', ip, 15_053);
    }
    for (const host of ['pod', 'peer'] as const) {
      for (const port of PROGRAM_PORTS) this.#listen(host, '::', port);
      for (const port of DATAGRAM_PORTS) for (const ip of ['0.0.0.0', '::']) this.#receive(host, ip, port);
    }
  }

  fd(host: HostName): number {
    return this.#of(host).fd;
  }

  run(host: HostName, command: string, ...args: string[]): string {
    return this.#of(host).namespace.run(command, ...args);
  }

  /** Calls and says where the call arrived. */
  async arrival(call: Call): Promise<Arrival> {
    const connection = await this.connect(call);
    for (const fd of [connection.client, connection.server]) {
      socket.setLingerReset(fd);
      this.#close(fd);
    }
    return connection.arrival;
  }

  async connect(call: Call): Promise<Connection> {
    const family = familyOf(call.to.ip);
    const { from, mark } = call;
    const client = this.#own(socket.openSocket({ family, type: 'stream', namespaceFd: this.fd(from), mark }));
    if (call.transparent === true) socket.setTransparent(client, family);
    if (call.source !== undefined) socket.bindSocket(client, call.source.ip, call.source.port);
    const errno = socket.connectSocket(client, call.to.ip, call.to.port);
    if (errno !== 0) throw new Error(`connecting to ${call.to.ip} gave ${errno}`);
    return eventually(() => {
      for (const { name, fd } of this.#listeners) {
        const server = socket.acceptSocket(fd);
        if (server < 0) continue;
        this.#own(server);
        const arrival = { at: name, meant: originalDestination(server), from: socket.remoteAddress(server).ip };
        return { client, server, arrival };
      }
      const failed = socket.takeSocketError(client);
      if (failed !== 0) throw new Error(`the call to ${call.to.ip}:${call.to.port} ended with errno ${failed}`);
      return null;
    });
  }

  /** Sends one datagram, says who got it, and has that one answer it. */
  async datagram(call: Call & { readonly source: SocketAddress }): Promise<string> {
    const client = this.#datagramSocket(call.from, call.source.ip, call.source.port, call.mark);
    socket.connectSocket(client, call.to.ip, call.to.port);
    write(client, 'question');
    const taker = await eventually(() => this.#datagrams.find(({ fd }) => read(fd) !== null) ?? null);
    socket.connectSocket(taker.fd, call.source.ip, call.source.port);
    write(taker.fd, 'answer');
    const answer = await readText(client);
    this.#close(client);
    this.#disconnect(taker);
    if (answer !== 'answer') throw new Error(`the answer reads ${answer}`);
    return taker.name;
  }

  async close(): Promise<void> {
    for (const fd of this.#descriptors) socket.closeDescriptor(fd);
    // The kernel lets go of a namespace's sockets a moment later.
    await sleep(1);
  }

  #of(host: HostName): { namespace: TestNamespace; fd: number } {
    const found = this.#hosts.get(host);
    if (found === undefined) throw new Error(`there is no ${host}`);
    return found;
  }

  #listen(host: HostName, ip: string, port: number): void {
    const fd = this.#own(socket.openSocket({ family: familyOf(ip), type: 'stream', namespaceFd: this.fd(host) }));
    if (ip === '::') socket.setV6Only(fd, false);
    socket.bindSocket(fd, ip, port);
    socket.listenSocket(fd, 16);
    this.#listeners.push({ name: `${host}:${port}`, fd });
  }

  #receive(host: HostName, ip: string, port: number): void {
    this.#datagrams.push({ name: `${host}:${port}`, fd: this.#datagramSocket(host, ip, port) });
  }

  #datagramSocket(host: HostName, ip: string, port: number, mark?: number): number {
    const fd = this.#own(
      socket.openSocket({ family: familyOf(ip), type: 'datagram', namespaceFd: this.fd(host), mark }),
    );
    if (ip === '::') socket.setV6Only(fd, true);
    socket.bindSocket(fd, ip, port);
    return fd;
  }

  /** Connecting to nothing (AF_UNSPEC) makes a datagram socket hear everybody again. */
  #disconnect({ fd }: { readonly fd: number }): void {
    scratch.bytes.fill(0, 0, 16);
    libc.connect(fd, scratch.at(0, 16), 16);
  }

  #own(fd: number): number {
    this.#descriptors.push(fd);
    return fd;
  }

  #close(fd: number): void {
    this.#descriptors.splice(this.#descriptors.indexOf(fd), 1);
    socket.closeDescriptor(fd);
  }
}

/** Gives `use` a world and takes it away afterwards. */
export async function withWorld(use: (world: World) => Promise<void>): Promise<void> {
  await withTestNamespace((node) =>
    withTestNamespace((pod) =>
      withTestNamespace(async (peer) => {
        const world = new World({ node, pod, peer });
        try {
          await use(world);
        } finally {
          await world.close();
        }
      }),
    ),
  );
}

export function readText(fd: number): Promise<string> {
  return eventually(() => read(fd));
}

export function write(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  scratch.bytes.set(bytes);
  if (libc.write(fd, scratch.at(0, bytes.length), bytes.length) !== bytes.length) {
    throw new Error(`writing gave errno ${lastErrno()}`);
  }
}

export function familyOf(ip: string): IpFamily {
  return ip.includes(':') ? 6 : 4;
}

const scratch = Region.map(4096);

/** Null when there is nothing yet. */
function read(fd: number): string | null {
  const length = libc.read(fd, scratch.at(0, 4096), 4096);
  if (length >= 0) return Buffer.from(scratch.bytes.subarray(0, length)).toString();
  if (lastErrno() === EAGAIN) return null;
  throw new Error(`reading gave errno ${lastErrno()}`);
}

const NODE_SETUP = `
set -e
ip link add br0 type bridge
ip addr add ${ADDRESS.node[4]}/24 dev br0
ip addr add ${ADDRESS.node[6]}/64 dev br0 nodad
ip link set br0 up`;

function attachSetup(host: HostName, namespaceName: string): string {
  return `
set -e
ip link add ${host} type veth peer name eth0 netns ${namespaceName}
ip link set ${host} master br0 up`;
}

function podSetup(host: HostName): string {
  return `
set -e
ip addr add ${ADDRESS[host][4]}/24 dev eth0
ip addr add ${ADDRESS[host][6]}/64 dev eth0 nodad
ip link set eth0 up
ip route add default via ${ADDRESS.node[4]}
ip -6 route add default via ${ADDRESS.node[6]}`;
}
