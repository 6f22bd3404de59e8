/** Cuts what a child writes to stderr into lines for the log: bounded in length, and in number by the second. */
import { LOG_LINE_MAX_CHARS, STDERR_LINES_PER_S } from './limits.ts';

const SECOND_MS = 1000;

export class LineReader {
  readonly #decoder = new TextDecoder();
  readonly #onLine: (line: string) => void;
  #partial = '';
  #secondStartMs = Number.NEGATIVE_INFINITY;
  #linesInSecond = 0;
  #dropped = 0;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  read(bytes: Uint8Array, nowMs: number): void {
    const lines = (this.#partial + this.#decoder.decode(bytes, { stream: true })).split('\n');
    this.#partial = (lines.pop() as string).slice(0, LOG_LINE_MAX_CHARS);
    for (const line of lines) this.#give(line, nowMs);
  }

  end(): void {
    if (this.#partial !== '') this.#onLine(this.#partial);
    this.#partial = '';
    this.#tellDropped();
  }

  #give(line: string, nowMs: number): void {
    if (nowMs - this.#secondStartMs >= SECOND_MS) {
      this.#secondStartMs = nowMs;
      this.#linesInSecond = 0;
      this.#tellDropped();
    }
    this.#linesInSecond += 1;
    if (this.#linesInSecond > STDERR_LINES_PER_S) this.#dropped += 1;
    else if (line !== '') this.#onLine(line.slice(0, LOG_LINE_MAX_CHARS));
  }

  #tellDropped(): void {
    if (this.#dropped > 0) this.#onLine(`(${this.#dropped} lines dropped)`);
    this.#dropped = 0;
  }
}
