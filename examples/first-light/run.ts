/** The whole of first light, in order; whatever was made is removed in the opposite order, however it ends. */
import { once } from 'node:events';
import { createReactor } from '@ambit/net/reactor';
import { CallLog } from './call-log.ts';
import { requirePrograms } from './command.ts';
import { startMesh } from './mesh.ts';
import type { CallReport } from './messages.ts';
import type { Options } from './options.ts';
import type { Paper } from './paper.ts';
import { buildStage, inPod, removeStage, type Stage } from './stage.ts';
import { pastTheMesh, withMesh, withoutMesh } from './story.ts';
import { startWebServer } from './web-server.ts';

type Undo = () => Promise<void>;

/** The exit status: 0 when every claim held. */
export async function runFirstLight(options: Options, paper: Paper, interrupted: AbortSignal): Promise<number> {
  const undo: Undo[] = [];
  try {
    await play(options, paper, interrupted, undo);
    if (!options.once) await untilAborted(interrupted);
    return paper.failed > 0 || (options.once && interrupted.aborted) ? 1 : 0;
  } finally {
    await undoAll(undo);
    if (!options.once) paper.line('Everything is removed.');
  }
}

/** Looks at `interrupted` between the scenes only: in the middle of one it is not known what there is to remove. */
async function play(options: Options, paper: Paper, interrupted: AbortSignal, undo: Undo[]): Promise<void> {
  requirePrograms(['ip', 'nft']);
  const reactor = createReactor();
  undo.push(() => reactor.close());
  let stage: Stage | null = null;
  undo.push(() => removeStage(stage));
  stage = await buildStage();
  const server = await startWebServer(stage, reactor);
  undo.push(() => server.stop());
  const { client, web } = stage;
  paper.line(`client ${client.ip}  <-- one wire -->  web ${web.ip} (${server.name}, which knows nothing of a mesh)`);
  if (interrupted.aborted) return;
  await withoutMesh(stage, paper);
  if (interrupted.aborted) return;

  const calls = new CallLog();
  const mesh = await startMesh(stage, reactor, calls.push);
  undo.push(() => mesh.stop());
  if (!options.withoutRedirection) await mesh.redirect();
  if (interrupted.aborted) return;
  await withMesh(stage, paper, calls);
  if (interrupted.aborted) return;
  await pastTheMesh(stage, paper, reactor, calls);
  paper.line();
  if (paper.failed > 0) paper.line(`${paper.failed} claims did not hold.`);
  if (options.once) return;
  paper.line('Both pods stay until Ctrl-C. In another terminal, try:');
  paper.line(`  ${inPod(client, 'curl', `http://${web.ip}/`).join(' ')}`);
  paper.line();
  calls.onReport = (report) => paper.line(describe(report));
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

/** The last made goes first. What cannot be removed does not keep the rest. */
async function undoAll(undo: Undo[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of undo.reverse()) await step().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw new AggregateError(errors, `Not all was removed: ${errors.join('; ')}`);
}

function describe({ side, source, destination, outcome, peerIdentity, reason }: CallReport): string {
  const peer = peerIdentity === '' ? '' : side === 'outbound' ? `, server ${peerIdentity}` : `, client ${peerIdentity}`;
  return `${side}  ${source} -> ${destination}  ${outcome}${peer}${reason === '' ? '' : `, ${reason}`}`;
}
