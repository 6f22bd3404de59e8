/**
 * Certificates for tests, made once per process: an authority, material for identities, and material that a peer must
 * refuse. Everything is valid from 2020 for a hundred years, so that simulated clocks may stand anywhere in between.
 */
import { type IssueOptions, LocalAuthority } from '@ambit/identity/local-authority';
import type { TlsMaterial } from '@ambit/net/engine';

const START = new Date('2020-01-01T00:00:00Z');
const YEAR_MS = 365 * 86_400_000;
const TTL_MS = 100 * YEAR_MS;

export const ALPN = 'h2';
export const CLIENT_IDENTITY = 'spiffe://cluster.local/ns/default/sa/client';
export const SERVER_IDENTITY = 'spiffe://cluster.local/ns/default/sa/server';

/** The authority that all material of `materialFor` comes from. */
export function testAuthority(): Promise<LocalAuthority> {
  authority ??= createAuthority();
  return authority;
}

/** The same material each time for the same identity. It verifies its peer. */
export function materialFor(identity: string): Promise<TlsMaterial> {
  let material = materials.get(identity);
  if (material === undefined) {
    material = freshMaterialFor(identity);
    materials.set(identity, material);
  }
  return material;
}

/** Another key and leaf each time, as after a rotation. */
export async function freshMaterialFor(identity: string): Promise<TlsMaterial> {
  return issue(await testAuthority(), identity, {});
}

export type BadMaterial =
  | 'otherAuthority'
  | 'expired'
  | 'notYetValid'
  | 'clientOnly'
  | 'serverOnly'
  | 'noName'
  | 'twoNames';

/** A leaf with one fault. The roots are the right ones, so that only the peer has something to refuse. */
export async function badMaterial(fault: BadMaterial, identity: string): Promise<TlsMaterial> {
  const trusted = await testAuthority();
  switch (fault) {
    case 'otherAuthority':
      return { ...(await issue(await createAuthority(), identity, {})), rootsPem: trusted.rootsPem };
    case 'expired':
      return issue(trusted, identity, { ttlMs: YEAR_MS });
    case 'notYetValid':
      return issue(trusted, identity, { notBefore: new Date(START.getTime() + 90 * YEAR_MS), ttlMs: YEAR_MS });
    case 'clientOnly':
      return issue(trusted, identity, { usages: ['clientAuth'] });
    case 'serverOnly':
      return issue(trusted, identity, { usages: ['serverAuth'] });
    case 'noName':
      return issue(trusted, null, {});
    case 'twoNames':
      return issue(trusted, identity, { extraSans: [`${identity}-too`] });
  }
}

/** Verifies its peer but shows no certificate itself. */
export async function anonymousMaterial(): Promise<TlsMaterial> {
  return { rootsPem: (await testAuthority()).rootsPem, alpn: ALPN };
}

let authority: Promise<LocalAuthority> | undefined;
const materials = new Map<string, Promise<TlsMaterial>>();

function createAuthority(): Promise<LocalAuthority> {
  return LocalAuthority.create({ nowMs: () => START.getTime(), notBefore: START, ttlMs: TTL_MS, intermediate: true });
}

async function issue(from: LocalAuthority, identity: string | null, options: IssueOptions): Promise<TlsMaterial> {
  const issued = await from.issue(identity, { notBefore: START, ttlMs: TTL_MS, ...options });
  return {
    certificateChainPem: issued.certificateChainPem,
    privateKeyPem: issued.privateKeyPem,
    rootsPem: from.rootsPem,
    alpn: ALPN,
  };
}
