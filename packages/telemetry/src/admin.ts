/**
 * The admin port (ztunnel section 8.4): state, log levels, shutdown, and of our own the explanations of denials. Whoever
 * reaches it is trusted, so it listens on loopback, and does not serve a browser that was led here by a stranger's page.
 * `/debug/pprof/` is absent (404): the format is that of other runtimes, and the work is done by the children.
 */
import { isIP } from 'node:net';
import type { DecisionStore, KeptDecision } from './decisions.ts';
import { type HttpHandler, type HttpRequest, type HttpResponse, jsonResponse, textResponse } from './http-server.ts';
import { DECISIONS_LISTED_MAX } from './limits.ts';
import type { LogFilter } from './log-filter.ts';
import { timestamp } from './log-line.ts';

export const ADMIN_HOST_DEFAULT = '127.0.0.1';

export interface AdminOptions {
  /** As `istioctl ztunnel-config` reads it. */
  readonly configDump: () => unknown;
  readonly filter: LogFilter;
  /** Hands the filter's text on to the children and to the log. */
  readonly onFilterChanged: (filter: string) => void;
  readonly decisions: DecisionStore;
  /** Shuts down; done when it is drained, or its deadline over. It must not wait for this server to close. */
  readonly quit: () => Promise<void>;
  /** Listening on loopback: then another name in `Host` means that someone's DNS points here. */
  readonly isLoopback: boolean;
}

export function adminHandler(options: AdminOptions): HttpHandler {
  return async (request) => {
    const refused = refuseStrangers(request, options.isLoopback);
    if (refused !== null) return refused;
    switch (request.path) {
      case '/':
        return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: INDEX };
      case '/config_dump':
        return jsonResponse(await options.configDump());
      case '/logging':
        return handleLogging(request, options);
      case '/quitquitquit':
        if (request.method !== 'POST') return { status: 405 };
        await options.quit();
        return textResponse(200, 'shutdown now\n');
      default:
        return handleDecisions(request, options.decisions);
    }
  };
}

function handleLogging({ method, query }: HttpRequest, { filter, onFilterChanged }: AdminOptions): HttpResponse {
  if (method !== 'POST') return textResponse(405, `Invalid HTTP method\n ${LOGGING_HELP}`);
  const level = query.get('level') ?? '';
  const isReset = query.has('reset');
  if (level !== '' || isReset) {
    if (!filter.change(level, isReset)) return textResponse(400, `Invalid level provided: ${level}\n${LOGGING_HELP}`);
    onFilterChanged(String(filter));
  }
  return textResponse(200, `current log level is ${filter}\n`);
}

/** `/decisions` lists, `/decisions/ID` tells one: words, or JSON for those who ask for it. */
function handleDecisions({ method, path, header }: HttpRequest, store: DecisionStore): HttpResponse {
  const [, id] = /^\/decisions(?:\/([^/]+))?$/.exec(path) ?? [];
  if (id === undefined && path !== '/decisions') return { status: 404 };
  if (method !== 'GET') return { status: 405 };
  const asJson = header('accept').includes('application/json');
  if (id === undefined) {
    const newest = store.newest(DECISIONS_LISTED_MAX);
    if (asJson) {
      const decisions = newest.map(({ long: _, ...rest }) => dated(rest));
      return jsonResponse({ kept: store.size, evicted: store.evicted, decisions });
    }
    return textResponse(200, newest.map(({ id, atMs, short }) => `${id} ${timestamp(atMs)} ${short}\n`).join(''));
  }
  const decision = store.get(id);
  if (decision === null) return textResponse(404, 'no such decision: it was never kept, or has made room for others\n');
  return asJson ? jsonResponse(dated(decision)) : textResponse(200, formatDecision(decision));
}

function formatDecision({ id, atMs, long }: KeptDecision): string {
  return `decision ${id} at ${timestamp(atMs)}\n${long}\n`;
}

function dated<T extends { readonly atMs: number }>({ atMs, ...rest }: T): Omit<T, 'atMs'> & { readonly time: string } {
  return { time: timestamp(atMs), ...rest };
}

/**
 * A page of a stranger can make a browser on this machine post here (and browsers say so in `Origin`), or read from here
 * after its own name was made to point at 127.0.0.1 (and then stands in `Host`).
 */
function refuseStrangers({ header }: HttpRequest, isLoopback: boolean): HttpResponse | null {
  const host = header('host');
  const origin = header('origin');
  if (origin !== '' && URL.parse(origin)?.host !== host) return textResponse(403, 'not for pages of other origins\n');
  if (isLoopback && host !== '' && !isLoopbackName(URL.parse(`http://${host}`)?.hostname ?? '')) {
    return textResponse(403, 'served to localhost only\n');
  }
  return null;
}

function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name === '[::1]' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** As Istio's ztunnel, but for its advice to write `mod:level`, which it does not understand either. */
const LOGGING_HELP = `
usage: POST /logging\t\t\t\t\t\t(To list current level)
usage: POST /logging?level=<level>\t\t\t\t(To change global levels)
usage: POST /logging?level={mod1}={level1},{mod2}={level2}\t(To change specific mods' logging level)

hint: loglevel:\terror|warn|info|debug|trace|off
hint: mod_name:\tthe module name, i.e. access
`;

const PATHS: readonly (readonly [path: string, description: string])[] = [
  ['config_dump', 'the state of the proxy'],
  ['decisions', 'the last denials; decisions/ID explains one'],
  ['logging', 'POST: list log levels, or change them with level= and reset'],
  ['quitquitquit', 'POST: shut down'],
];

const INDEX = `<!DOCTYPE html>
<html lang="en">
<head><title>Admin</title></head>
<body>
<table>
<tr><th>Path</th><th>Description</th></tr>
${PATHS.map(([path, description]) => `<tr><td><a href="${path}">${path}</a></td><td>${description}</td></tr>`).join('\n')}
</table>
</body>
</html>
`;
