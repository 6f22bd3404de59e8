/**
 * Certificates from a CA that speaks Istio's protocol: `IstioCertificateService/CreateCertificate` (ztunnel facts 1.6).
 * A node's proxy asks in the name of its pods, a dedicated one for itself.
 */
import { createPublicKey, type X509Certificate } from 'node:crypto';
import { asAmbitError } from '@ambit/base/errors';
import type { Log } from '@ambit/base/log';
import {
  IstioCertificateRequestSchema,
  type IstioCertificateResponse,
  IstioCertificateResponseSchema,
} from '@ambit/proto/ca';
import { create, fromBinary, toBinary } from '@ambit/proto/protobuf';
import { subjectAltUris } from '@ambit/wire/x509-san';
import { type Client, type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type CertificateSource, type WorkloadCertificate, workloadCertificate } from './certificate-source.ts';
import { type ControlPlaneOptions, callMetadata, openControlPlane } from './control-plane.ts';
import { createSigningRequest } from './csr.ts';
import { identityError } from './errors.ts';
import { CA_CALL_TIMEOUT_MS, CA_RESPONSE_MAX_BYTES, FETCH_TIMEOUT_MS } from './limits.ts';
import { certificatesIn, joinCertificates } from './pem.ts';
import { RootsWatch } from './roots-watch.ts';
import type { After } from './timers.ts';

export interface CaClientOptions extends Omit<ControlPlaneOptions, 'receiveMaxBytes'> {
  /** `shared`: names the identity in the request and demands it in the answer. `dedicated`: the token says whose. */
  readonly mode: 'shared' | 'dedicated';
  /** Life to ask for (SECRET_TTL); the CA may give less. */
  readonly ttlMs: number;
  readonly callTimeoutMs?: number;
}

export interface CaClientDeps {
  readonly after: After;
  readonly log: Log;
  /** Wall clock: gRPC's deadlines are dates. */
  readonly clock: { nowMs(): number };
}

const PATH = '/istio.v1.auth.IstioCertificateService/CreateCertificate';

export class CaClient implements CertificateSource {
  readonly #options: CaClientOptions & ControlPlaneOptions;
  readonly #deps: CaClientDeps;
  readonly #watch: RootsWatch;
  /** One for all calls; null before the first, and after it could not be made. */
  #client: Promise<Client> | null = null;
  /** The roots may have changed since `#client` was made. */
  #isStale = false;
  readonly #retired = new Set<Client>();

  constructor(options: CaClientOptions, deps: CaClientDeps) {
    this.#options = { ...options, receiveMaxBytes: CA_RESPONSE_MAX_BYTES };
    this.#deps = deps;
    this.#watch = new RootsWatch(options.roots, deps, () => {
      this.#isStale = true;
    });
  }

  async fetch(identity: string, signal: AbortSignal): Promise<WorkloadCertificate> {
    const [client, metadata, { csrPem, privateKeyPem }] = await Promise.all([
      this.#connect(),
      callMetadata(this.#options),
      createSigningRequest(identity),
    ]);
    const request = create(IstioCertificateRequestSchema, {
      csr: csrPem,
      validityDuration: BigInt(Math.floor(this.#options.ttlMs / 1000)),
      ...(this.#options.mode === 'shared' ? { metadata: { ImpersonatedIdentity: identity } } : {}),
    });
    const call: Call = {
      bytes: toBinary(IstioCertificateRequestSchema, request),
      metadata,
      deadlineMs: this.#deps.clock.nowMs() + (this.#options.callTimeoutMs ?? CA_CALL_TIMEOUT_MS),
      signal,
    };
    return this.#accept(identity, privateKeyPem, await createCertificate(client, call));
  }

  close(): void {
    this.#watch.close();
    this.#client?.then(
      (client) => client.close(),
      () => {},
    );
    for (const client of this.#retired) client.close();
    this.#retired.clear();
  }

  #connect(): Promise<Client> {
    if (this.#client !== null && !this.#isStale) return this.#client;
    this.#isStale = false;
    const connecting = this.#client === null ? openControlPlane(this.#options) : this.#replace(this.#client);
    connecting.catch(() => {
      if (this.#client === connecting) this.#client = null;
    });
    this.#client = connecting;
    return connecting;
  }

  async #replace(before: Promise<Client>): Promise<Client> {
    const old = await before;
    try {
      const opened = await openControlPlane(this.#options);
      this.#retire(old);
      return opened;
    } catch (thrown) {
      // A file in the middle of its replacement: the next call looks again.
      this.#isStale = true;
      this.#deps.log.warn('the CA is still verified by the former roots', { error: asAmbitError(thrown) });
      return old;
    }
  }

  /** Closed when the calls that had got it are over. */
  #retire(client: Client): void {
    this.#retired.add(client);
    this.#deps.after(FETCH_TIMEOUT_MS, () => {
      this.#retired.delete(client);
      client.close();
    });
  }

  /** Leaf, intermediates one by one, and last the bundle of roots. */
  #accept(identity: string, privateKeyPem: string, { certChain }: IstioCertificateResponse): WorkloadCertificate {
    const [leafPem, ...others] = certChain;
    const rootsPem = others.pop();
    if (leafPem === undefined) throw identityError('CA_RESPONSE_INVALID', 'the CA answered with an empty chain');
    if (rootsPem === undefined) throw identityError('CA_RESPONSE_INVALID', 'the CA answered without a root');
    const chain = read(() => [leafPem, ...others].map((pem) => certificatesIn(pem)[0]));
    const roots = read(() => certificatesIn(rootsPem));
    const leaf = chain[0] as X509Certificate;
    if (!leaf.publicKey.equals(createPublicKey(privateKeyPem))) {
      throw identityError('CA_RESPONSE_INVALID', 'the CA signed another key than the one in the request');
    }
    if (this.#options.mode === 'shared') demandIdentity(leaf, identity);
    return workloadCertificate(identity, leaf, {
      certificateChainPem: joinCertificates(chain),
      privateKeyPem,
      rootsPem: joinCertificates(roots),
    });
  }
}

interface Call {
  readonly bytes: Uint8Array;
  readonly metadata: Metadata;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

function createCertificate(client: Client, call: Call): Promise<IstioCertificateResponse> {
  return new Promise((resolve, reject) => {
    const cancel = (): void => running.cancel();
    const finish = (error: ServiceError | null, response?: IstioCertificateResponse): void => {
      call.signal.removeEventListener('abort', cancel);
      if (response !== undefined) {
        resolve(response);
        return;
      }
      const reason = error === null ? 'no answer' : `${status[error.code]}: ${error.details}`;
      reject(identityError('CA_CALL_FAILED', `the CA refused or could not be asked: ${reason}`, error ?? undefined));
    };
    const running = client.makeUnaryRequest(
      PATH,
      (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      (bytes) => fromBinary(IstioCertificateResponseSchema, bytes),
      call.bytes,
      call.metadata,
      { deadline: call.deadlineMs },
      finish,
    );
    call.signal.addEventListener('abort', cancel);
    if (call.signal.aborted) cancel();
  });
}

function demandIdentity(leaf: X509Certificate, identity: string): void {
  const first = subjectAltUris(new Uint8Array(leaf.raw))?.[0];
  if (first === identity) return;
  throw identityError('CA_IDENTITY_MISMATCH', `asked for ${identity}, the CA signed for ${first ?? 'no name'}`);
}

function read<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw identityError('CA_RESPONSE_INVALID', 'the CA answered with what is no certificate', cause);
  }
}
