/** What a test file came to, as the parent tells it. */

export interface Failure {
  readonly name: string;
  readonly line: number;
  /** The error as node prints it, with its stack and difference. */
  readonly text: string;
}

export interface FileResult {
  readonly file: string;
  readonly passed: number;
  readonly failures: readonly Failure[];
  /** Name and reason. */
  readonly skipped: readonly string[];
  readonly durationMs: number;
}

/** An event as `reporter.ts` writes it, one JSON object a line. */
export type TestEvent =
  | { readonly is: 'pass'; readonly name: string }
  | { readonly is: 'skip'; readonly name: string; readonly reason: string }
  | { readonly is: 'fail'; readonly name: string; readonly line: number; readonly text: string }
  | { readonly is: 'end' };

export interface FileEnd {
  readonly events: readonly TestEvent[];
  readonly exit: number | NodeJS.Signals;
  readonly timedOut: boolean;
  /** Standard output and error, for a file that fails without saying why in a test. */
  readonly output: string;
  readonly durationMs: number;
}

/** Silence is not success: a file has run when it said so, held a test, and left with status 0 or a failed test. */
export function resultOf(file: string, end: FileEnd): FileResult {
  const failures: Failure[] = [];
  const skipped: string[] = [];
  let passed = 0;
  let ended = false;
  for (const event of end.events) {
    if (event.is === 'pass') passed += 1;
    else if (event.is === 'skip') skipped.push(`${event.name} (${event.reason})`);
    else if (event.is === 'fail') failures.push(event);
    else ended = true;
  }
  const whole = wholeFileFailure(end, ended, passed + skipped.length, failures.length);
  if (whole !== null) failures.push({ name: whole, line: 0, text: end.output });
  return { file, passed, failures, skipped, durationMs: end.durationMs };
}

function wholeFileFailure(end: FileEnd, ended: boolean, others: number, failed: number): string | null {
  if (end.timedOut) return 'the file did not end in time: something hangs or is left open';
  if (typeof end.exit !== 'number') return `the file was ended by ${end.exit}`;
  if (end.exit !== 0 && failed === 0) return `the file ended with status ${end.exit}`;
  if (!ended && others + failed > 0) return 'the process ended before its tests did';
  if (others + failed === 0) return 'the file holds no test';
  return null;
}

export function describeFailure(failure: Failure, path: string): string {
  const place = failure.line > 0 ? `${path}:${failure.line}` : path;
  const text = failure.text.trimEnd().replaceAll('\n', '\n      ');
  return `\n    ${failure.name}\n      at ${place}\n      ${text}\n`;
}
