/** The three calls, each with what the wire and the proxies say about it. A claim is printed after it was looked at. */
import { AmbitError } from '@ambit/base/errors';
import type { Reactor } from '@ambit/net/reactor';
import { openCapture } from '@ambit/platform/packet-capture';
import { type CallResult, callFrom } from './call.ts';
import type { CallLog } from './call-log.ts';
import { CLIENT_IDENTITY, WEB_IDENTITY } from './mesh.ts';
import type { Paper } from './paper.ts';
import { fetchPlain } from './plain-client.ts';
import { HBONE_PORT, PROXY_MARK } from './redirection.ts';
import { INTERFACE, type Stage } from './stage.ts';
import { PAGE, WEB_PORT } from './web-server.ts';
import { type WireReport, WireWatch } from './wire.ts';

const WORDS = PAGE.trim();

export async function withoutMesh(stage: Stage, paper: Paper): Promise<void> {
  paper.heading('1  Without the mesh');
  const { call, wire } = await watchedCall(stage);
  claimPage(paper, call);
  const seen = `the page can be read on the wire: "${WORDS}"`;
  paper.claim(wire.wordsSeen && wire.tlsRecords === 0, seen, wireText(wire));
}

export async function withMesh(stage: Stage, paper: Paper, calls: CallLog): Promise<void> {
  paper.heading('2  With the mesh, the same program, not restarted or changed');
  const { call, wire } = await watchedCall(stage);
  claimPage(paper, call);
  const [outbound, inbound] = await Promise.all([calls.next('outbound'), calls.next('inbound')]);
  const server = outbound?.outcome === 'open' ? outbound.peerIdentity : 'nobody';
  const client = inbound?.outcome === 'open' ? inbound.peerIdentity : 'nobody';
  paper.claim(server === WEB_IDENTITY, `the client's proxy verified the server as ${WEB_IDENTITY}`, server);
  paper.claim(client === CLIENT_IDENTITY, `the server's proxy verified the client as ${CLIENT_IDENTITY}`, client);
  const onlyTls = wire.tlsRecords > 0 && wire.strayBytes === 0 && wire.otherBytes === 0;
  const records = `the wire carried ${wire.tlsRecords} TLS records on port ${HBONE_PORT} and nothing else`;
  paper.claim(onlyTls, records, wireText(wire));
  paper.claim(!wire.wordsSeen, 'the page cannot be read on the wire', 'it can');
}

/** A socket with the proxy's own mark is not redirected: what somebody on the wire could send. */
export async function pastTheMesh(stage: Stage, paper: Paper, reactor: Reactor, calls: CallLog): Promise<void> {
  paper.heading('3  Past the mesh: plaintext straight to the server');
  const { client, web } = stage;
  const options = { ip: web.ip, port: WEB_PORT, namespaceFd: client.namespaceFd, mark: PROXY_MARK };
  const answer = await fetchPlain(reactor, options).catch((error: unknown) => {
    if (error instanceof AmbitError) return error;
    throw error;
  });
  const found = answer instanceof AmbitError ? answer.message : `it answered ${answer.length} bytes`;
  paper.claim(answer instanceof AmbitError && wasReset(answer), 'the connection was cut without an answer', found);
  const report = await calls.next('plaintext');
  const told = report?.outcome === 'refused' ? report.reason : 'it says nothing';
  paper.claim(report?.outcome === 'refused', `the server's proxy says why: ${told}`, told);
}

/** It may come so soon that this side has not noticed yet that it was connected. */
function wasReset({ code, message }: AmbitError): boolean {
  return code === 'CONNECTION_RESET' || (code === 'CONNECT_FAILED' && message.endsWith('ECONNRESET'));
}

async function watchedCall(stage: Stage): Promise<{ call: CallResult; wire: WireReport }> {
  const { client, web } = stage;
  const capture = openCapture({ interfaceName: INTERFACE, namespaceFd: client.namespaceFd });
  try {
    const call = await callFrom(client, `http://${web.ip}/`);
    const watch = new WireWatch(HBONE_PORT);
    for (let frame = capture.next(); frame !== null; frame = capture.next()) watch.frame(frame);
    if (capture.droppedFrames() > 0) throw new Error('the capture lost frames, so it proves nothing');
    return { call, wire: watch.report(WORDS) };
  } finally {
    capture.close();
  }
}

function claimPage(paper: Paper, call: CallResult): void {
  const summary = `${call.command} -> ${call.status}, ${call.body.length} bytes in ${call.latencyMs.toFixed(1)} ms`;
  paper.claim(call.status === 200 && call.body === PAGE, summary, 'not the page that was asked for');
}

function wireText({ segments, tlsRecords, strayBytes, otherBytes, wordsSeen }: WireReport): string {
  const words = wordsSeen ? 'the page readable' : 'the page not readable';
  return `${segments} segments, ${tlsRecords} TLS records, ${strayBytes + otherBytes} other bytes, ${words}`;
}
