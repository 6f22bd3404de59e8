/** A CA on loopback that speaks Istio's protocol over TLS, whose answer a test decides and whose requests it can read. */
import { execFileSync } from 'node:child_process';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from '@ambit/proto/ca';
import { create, fromBinary, toBinary } from '@ambit/proto/protobuf';
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { LocalAuthority } from './local-authority.ts';

export interface SeenRequest {
  readonly csr: string;
  readonly validitySeconds: bigint;
  readonly metadata: unknown;
  readonly headers: Metadata;
}

/** The chain to answer with, an error text to refuse with, or null for no answer at all. */
export type Answer = (request: SeenRequest) => Promise<string[] | Error | null>;

export interface CaServer {
  readonly port: number;
  /** Of the server's own certificate. */
  readonly rootsPem: string;
  readonly seen: SeenRequest[];
  close(): void;
}

export interface CaServerOptions {
  readonly hostname?: string;
  readonly port?: number;
}

export async function startCaServer(answer: Answer, options: CaServerOptions = {}): Promise<CaServer> {
  const authority = await LocalAuthority.create({ nowMs: () => Date.now() });
  const own = await authority.issue(null, { dnsNames: [options.hostname ?? 'localhost'] });
  const seen: SeenRequest[] = [];
  const server = new Server();
  const handle = (call: ServerUnaryCall<Uint8Array, Uint8Array>, done: sendUnaryData<Uint8Array>): void => {
    const request = fromBinary(IstioCertificateRequestSchema, call.request);
    const { csr, validityDuration: validitySeconds, metadata } = request;
    const entry: SeenRequest = { csr, validitySeconds, metadata, headers: call.metadata };
    seen.push(entry);
    void answer(entry).then((chain) => {
      if (chain === null) return;
      if (chain instanceof Error) done({ code: status.UNAUTHENTICATED, details: chain.message });
      else
        done(
          null,
          toBinary(IstioCertificateResponseSchema, create(IstioCertificateResponseSchema, { certChain: chain })),
        );
    });
  };
  const createCertificate = {
    path: '/istio.v1.auth.IstioCertificateService/CreateCertificate',
    requestStream: false,
    responseStream: false,
    requestSerialize: Buffer.from,
    requestDeserialize: (bytes: Buffer): Uint8Array => bytes,
    responseSerialize: (bytes: Uint8Array): Buffer => Buffer.from(bytes),
    responseDeserialize: (bytes: Buffer): Uint8Array => bytes,
  };
  server.addService({ createCertificate }, { createCertificate: handle });
  const credentials = ServerCredentials.createSsl(null, [
    { private_key: Buffer.from(own.privateKeyPem), cert_chain: Buffer.from(own.certificateChainPem) },
  ]);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${options.port ?? 0}`, credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { port, rootsPem: authority.rootsPem, seen, close: () => server.forceShutdown() };
}

/** What openssl finds as the one name in a request. */
export function nameIn(csrPem: string): string | undefined {
  const text = execFileSync('openssl', ['req', '-noout', '-text'], { input: csrPem }).toString();
  return /URI:(\S+)/.exec(text)?.[1];
}
