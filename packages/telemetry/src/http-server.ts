/**
 * The small HTTP/1.1 servers of the parent: admin, stats, readiness. On node:http, because people, probes and scrapers use
 * them a few times a second; nothing of a proxied call comes here.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from '@ambit/base/log';
import {
  HTTP_CLOSE_GRACE_MS,
  HTTP_CONNECTIONS_MAX,
  HTTP_HEADERS_MAX_BYTES,
  HTTP_KEEP_ALIVE_MS,
  HTTP_REQUEST_TIMEOUT_MS,
} from './limits.ts';

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** The value of a header, lines of one name joined by commas; empty if there is none. */
  header(name: string): string;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export type HttpHandler = (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;

export interface HttpServerOptions {
  /** `admin`, `stats`, `readiness`: for the log. */
  readonly component: string;
  readonly host: string;
  readonly port: number;
  readonly handler: HttpHandler;
  readonly log: Log;
}

export interface HttpServer {
  readonly host: string;
  /** What the kernel chose where 0 was asked for. */
  readonly port: number;
  /** Takes no more requests; done when the last answer is out. A handler must not wait for it. */
  close(): Promise<void>;
}

export async function listenHttp(options: HttpServerOptions): Promise<HttpServer> {
  const { component, host, port, log } = options;
  const server = createServer(
    {
      maxHeaderSize: HTTP_HEADERS_MAX_BYTES,
      headersTimeout: HTTP_REQUEST_TIMEOUT_MS,
      requestTimeout: HTTP_REQUEST_TIMEOUT_MS,
      keepAliveTimeout: HTTP_KEEP_ALIVE_MS,
    },
    (request, response) => {
      serve(options, request, response).catch((error) => {
        log.error('answer failed', { component, error: error as Error });
        response.destroy();
      });
    },
  );
  server.maxConnections = HTTP_CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => log.error('listener failed', { component, error }));
  const address = server.address() as AddressInfo;
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  log.info('listener established', { address: `${shown}:${address.port}`, component });
  return { host: address.address, port: address.port, close: () => closeServer(server) };
}

export function textResponse(status: number, body: string): HttpResponse {
  return { status, headers: { 'content-type': 'text/plain' }, body };
}

export function jsonResponse(value: unknown): HttpResponse {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value, null, 2) };
}

async function serve(options: HttpServerOptions, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  incoming.resume();
  const { status, headers, body = '' } = await answer(options, incoming);
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  response.writeHead(status, { ...headers, 'content-length': bytes.length });
  response.end(bytes);
}

async function answer(
  { handler, component, log }: HttpServerOptions,
  incoming: IncomingMessage,
): Promise<HttpResponse> {
  const request = readRequest(incoming);
  if (request === null) return { status: 400 };
  try {
    return await handler(request);
  } catch (error) {
    log.error('request failed', { component, path: request.path, error: error as Error });
    return { status: 500 };
  }
}

/** Null where the target is no URL. */
function readRequest({ method = 'GET', url = '/', headers }: IncomingMessage): HttpRequest | null {
  // Only the path of an absolute target counts; where it points makes no difference here.
  const parsed = URL.parse(url, 'http://localhost');
  if (parsed === null) return null;
  const header = (name: string): string => String(headers[name] ?? '');
  return { method, path: parsed.pathname, query: parsed.searchParams, header };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // Who asked and does not read must not keep the process.
    const cut = setTimeout(() => server.closeAllConnections(), HTTP_CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
