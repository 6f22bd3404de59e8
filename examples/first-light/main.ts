/** First light: one real call of an unchanged program through the mesh, with the proof and the counter-proof. */
import { checkPlatform } from '@ambit/platform/preflight';
import { HELP, type Options, parseOptions } from './options.ts';
import { Paper } from './paper.ts';

process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    return complain(error);
  }
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const problem = await checkPlatform({ openssl: true, namespaces: true, netAdmin: true, rawSockets: true });
  if (problem !== null) return complain(problem);
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort());
  // Nobody reads any more (`| head`): that is no reason to leave things behind.
  process.stdout.on('error', () => interruption.abort());
  const colours = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  const paper = new Paper((text) => process.stdout.write(text), colours);
  try {
    // Only now: loading it maps memory and calls libc, which the check above has allowed.
    const { runFirstLight } = await import('./run.ts');
    return await runFirstLight(options, paper, interruption.signal);
  } catch (error) {
    return complain(error);
  }
}

function complain(error: unknown): number {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
}
