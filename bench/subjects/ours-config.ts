/** What the bench tells a proxy of ours; both import it, so that neither imports the other. */
import type { Identity } from '@ambit/model/identity';
import type { SocketAddress, TlsMaterial } from '@ambit/net/engine';

export interface ProxyConfig {
  /** `both`: entry and exit, joined by HBONE over loopback. */
  readonly role: 'both' | 'entry' | 'exit';
  /** One stream per HBONE connection. */
  readonly unpooled: boolean;
  readonly material: TlsMaterial;
  /** Of the entry alone: where its exit listens. */
  readonly exit: SocketAddress | null;
}

/** Of both ends; each accepts no other. */
export const BENCH_IDENTITY: Identity = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'bench' };
