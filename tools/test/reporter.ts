/** A reporter of node:test inside of the file's own process: events as JSON lines for `run-file.ts`. */
import type { TestEvent as NodeTestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';
import type { TestEvent } from './report.ts';

// tidy: node:test takes a reporter as the default export of its module
// biome-ignore lint/style/noDefaultExport: see above
export default async function* reporter(source: AsyncIterable<NodeTestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    const mapped = mapEvent(event);
    if (mapped !== null) yield `${JSON.stringify(mapped)}\n`;
  }
}

/** Suites and parents of failed subtests are left out: what is inside of them counts. */
function mapEvent(event: NodeTestEvent): TestEvent | null {
  if (event.type === 'test:summary') return { is: 'end' };
  if (event.type !== 'test:pass' && event.type !== 'test:fail') return null;
  const { data } = event;
  const { name } = data;
  const reason = data.skip ?? data.todo;
  if (reason !== undefined && reason !== false) {
    return { is: 'skip', name, reason: typeof reason === 'string' ? reason : 'no reason given' };
  }
  if (event.type === 'test:pass') return data.details.type === 'suite' ? null : { is: 'pass', name };
  const { error } = event.data.details;
  if ((error as { failureType?: string }).failureType === 'subtestsFailed') return null;
  return { is: 'fail', name, line: data.line ?? 0, text: inspect(error.cause ?? error, { depth: 4 }) };
}
