/** A control plane on loopback that speaks delta xDS over TLS: a test reads its requests and says what it pushes. */
import { LocalAuthority } from '@ambit/identity/local-authority';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '@ambit/proto/discovery';
import { fromBinary, toBinary } from '@ambit/proto/protobuf';
import { Metadata, Server, ServerCredentials, type ServerDuplexStream, type status } from '@grpc/grpc-js';

type Stream = ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

export class AdsServer {
  readonly authority: LocalAuthority;
  /** Of all streams, in order. */
  readonly requests: DeltaDiscoveryRequest[] = [];
  readonly headers: Metadata[] = [];
  port = 0;
  #server: Server | null = null;
  #stream: Stream | null = null;
  #wake: () => void = () => {};

  constructor(authority: LocalAuthority) {
    this.authority = authority;
  }

  static async start(): Promise<AdsServer> {
    const server = new AdsServer(await LocalAuthority.create({ nowMs: () => Date.now() }));
    await server.listen();
    return server;
  }

  /** On the same port after the first time, so that a client finds a server that was restarted. */
  async listen(authority = this.authority): Promise<void> {
    const own = await authority.issue(null, { dnsNames: ['localhost'] });
    const server = new Server({ 'grpc.max_send_message_length': -1 });
    const deltaAggregatedResources = {
      path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
      requestStream: true,
      responseStream: true,
      requestSerialize: (request: DeltaDiscoveryRequest) => Buffer.from(toBinary(DeltaDiscoveryRequestSchema, request)),
      requestDeserialize: (bytes: Buffer) => fromBinary(DeltaDiscoveryRequestSchema, bytes),
      responseSerialize: (response: DeltaDiscoveryResponse) =>
        Buffer.from(toBinary(DeltaDiscoveryResponseSchema, response)),
      responseDeserialize: (bytes: Buffer) => fromBinary(DeltaDiscoveryResponseSchema, bytes),
    };
    server.addService(
      { deltaAggregatedResources },
      { deltaAggregatedResources: (stream: Stream): void => this.#accept(stream) },
    );
    const credentials = ServerCredentials.createSsl(null, [
      { private_key: Buffer.from(own.privateKeyPem), cert_chain: Buffer.from(own.certificateChainPem) },
    ]);
    this.port = await new Promise<number>((resolve, reject) => {
      const done = (error: Error | null, port: number): void => (error === null ? resolve(port) : reject(error));
      server.bindAsync(`127.0.0.1:${this.port}`, credentials, done);
    });
    this.#server = server;
  }

  /** The requests so far, once there are so many. */
  async received(count: number): Promise<readonly DeltaDiscoveryRequest[]> {
    while (this.requests.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.requests;
  }

  push(response: DeltaDiscoveryResponse): void {
    this.#stream?.write(response);
  }

  end(): void {
    this.#stream?.end();
  }

  fail(code: status, details: string): void {
    this.#stream?.emit('error', { code, details, metadata: new Metadata() });
  }

  /** As a process that is killed. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = null;
    this.#stream = null;
  }

  #accept(stream: Stream): void {
    this.#stream = stream;
    this.headers.push(stream.metadata);
    stream.on('data', (request: DeltaDiscoveryRequest) => {
      this.requests.push(request);
      this.#wake();
    });
    stream.on('end', () => stream.end());
    stream.on('error', () => {});
  }
}
