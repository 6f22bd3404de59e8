/**
 * A certificate authority whose certificates look like Istio's (ztunnel facts 5.2 to 5.5): P-256 throughout, leaves with
 * an empty subject and one critical URI name. Its keys live in this process alone and cannot be exported.
 */
import './reflect-metadata.ts';
import { webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  type PublicKeyType,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { pemBlock } from './pem.ts';

export interface LocalAuthorityOptions {
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: () => number;
  /** O= of the root (and of the intermediate). */
  readonly organization?: string;
  /** Leaves are signed by an intermediate, which then travels in their chain. */
  readonly intermediate?: boolean;
  /** When the root and the intermediate become valid; `nowMs()` less the skew when left out. */
  readonly notBefore?: Date;
  /** Life of the root and the intermediate. */
  readonly ttlMs?: number;
}

export type LeafUsage = 'serverAuth' | 'clientAuth';

export interface IssueOptions {
  /** `nowMs()` less the skew when left out. */
  readonly notBefore?: Date;
  /** Life from now, or from `notBefore` where that is given. */
  readonly ttlMs?: number;
  readonly usages?: readonly LeafUsage[];
  /** More URI names behind the first. */
  readonly extraSans?: readonly string[];
  /** For a server that clients verify by its host name, such as a control plane. */
  readonly dnsNames?: readonly string[];
}

export interface SignedCertificate {
  /** Leaf first, then the intermediate if there is one; never the root. */
  readonly certificateChainPem: string;
  readonly leafDer: Uint8Array;
}

export interface IssuedCertificate extends SignedCertificate {
  /** PKCS#8. */
  readonly privateKeyPem: string;
}

/** As istiod: clocks that are behind by less accept a certificate at once. */
const CLOCK_SKEW_MS = 2 * 60_000;
/** SECRET_TTL of Istio: one day. */
const LEAF_TTL_MS = 86_400_000;
/** Ten years, as istiod's self-signed root. */
const ROOT_TTL_MS = 10 * 365 * 86_400_000;

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;
const CA_USAGES = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;

interface Issuer {
  readonly certificate: X509Certificate;
  readonly key: webcrypto.CryptoKey;
}

export class LocalAuthority {
  readonly rootsPem: string;
  readonly #issuer: Issuer;
  readonly #intermediatesPem: readonly string[];
  readonly #nowMs: () => number;

  private constructor(root: Issuer, intermediate: Issuer | null, nowMs: () => number) {
    this.rootsPem = pemText(root.certificate);
    this.#issuer = intermediate ?? root;
    this.#intermediatesPem = intermediate === null ? [] : [pemText(intermediate.certificate)];
    this.#nowMs = nowMs;
  }

  static async create(options: LocalAuthorityOptions): Promise<LocalAuthority> {
    const root = await makeRoot(options);
    const intermediate = options.intermediate === true ? await makeIntermediate(root, options) : null;
    return new LocalAuthority(root, intermediate, options.nowMs);
  }

  /** `identityUri` null makes a certificate without any name, which every verifier in the mesh must refuse. */
  async issue(identityUri: string | null, options: IssueOptions = {}): Promise<IssuedCertificate> {
    const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
    const signed = await this.#sign(keys.publicKey, identityUri, options);
    return {
      ...signed,
      privateKeyPem: pemBlock('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)),
    };
  }

  /**
   * For the key of a PKCS#10 request, whose signature proves that the asker holds it. Nothing else is taken from the
   * request: the caller decides on the identity. Throws when the request is malformed or its signature wrong.
   */
  async sign(csrPem: string, identityUri: string, options: IssueOptions = {}): Promise<SignedCertificate> {
    const request = new Pkcs10CertificateRequest(csrPem);
    if (!(await request.verify())) throw new Error('the certificate request is not signed by its key');
    return this.#sign(request.publicKey, identityUri, options);
  }

  async #sign(publicKey: PublicKeyType, identityUri: string | null, options: IssueOptions): Promise<SignedCertificate> {
    const uris = identityUri === null ? [] : [identityUri, ...(options.extraSans ?? [])];
    const leaf = await X509CertificateGenerator.create({
      issuer: this.#issuer.certificate.subjectName,
      signingKey: this.#issuer.key,
      publicKey,
      signingAlgorithm: SIGNING_ALGORITHM,
      ...lifetime(this.#nowMs, options, LEAF_TTL_MS),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension(
          (options.usages ?? ['serverAuth', 'clientAuth']).map((usage) => ExtendedKeyUsage[usage]),
        ),
        await AuthorityKeyIdentifierExtension.create(this.#issuer.certificate.publicKey),
        ...subjectAlternativeName(uris, options.dnsNames ?? []),
      ],
    });
    return {
      certificateChainPem: [pemText(leaf), ...this.#intermediatesPem].join(''),
      leafDer: new Uint8Array(leaf.rawData),
    };
  }
}

async function makeRoot(options: LocalAuthorityOptions): Promise<Issuer> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, false, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ O: [organization(options)] }],
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    ...lifetime(options.nowMs, options, ROOT_TTL_MS),
    extensions: await caExtensions(keys.publicKey),
  });
  return { certificate, key: keys.privateKey };
}

async function makeIntermediate(root: Issuer, options: LocalAuthorityOptions): Promise<Issuer> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, false, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.create({
    subject: [{ O: [organization(options)] }, { CN: ['Intermediate CA'] }],
    issuer: root.certificate.subjectName,
    signingKey: root.key,
    publicKey: keys.publicKey,
    signingAlgorithm: SIGNING_ALGORITHM,
    ...lifetime(options.nowMs, options, ROOT_TTL_MS),
    extensions: [
      ...(await caExtensions(keys.publicKey, 0)),
      await AuthorityKeyIdentifierExtension.create(root.certificate.publicKey),
    ],
  });
  return { certificate, key: keys.privateKey };
}

async function caExtensions(publicKey: webcrypto.CryptoKey, pathLength?: number): Promise<Extension[]> {
  return [
    new BasicConstraintsExtension(true, pathLength, true),
    new KeyUsagesExtension(CA_USAGES, true),
    await SubjectKeyIdentifierExtension.create(publicKey),
  ];
}

function organization(options: LocalAuthorityOptions): string {
  return options.organization ?? 'cluster.local';
}

function lifetime(
  nowMs: () => number,
  options: Pick<IssueOptions, 'notBefore' | 'ttlMs'>,
  defaultTtlMs: number,
): { notBefore: Date; notAfter: Date } {
  const startMs = options.notBefore?.getTime() ?? nowMs();
  return {
    notBefore: options.notBefore ?? new Date(startMs - CLOCK_SKEW_MS),
    notAfter: new Date(startMs + (options.ttlMs ?? defaultTtlMs)),
  };
}

/** Critical, because the subject is empty (RFC 5280 section 4.2.1.6). */
function subjectAlternativeName(uris: readonly string[], dnsNames: readonly string[]): Extension[] {
  if (uris.length + dnsNames.length === 0) return [];
  const names: JsonGeneralNames = [
    ...uris.map((value) => ({ type: 'url' as const, value })),
    ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
  ];
  return [new SubjectAlternativeNameExtension(names, true)];
}

function pemText(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
