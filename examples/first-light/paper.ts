/** What is printed: short, coloured on a terminal only. Every claim goes through `claim`, so that none is forgotten. */

export class Paper {
  /** Claims that did not hold. */
  failed = 0;
  readonly #colours: boolean;
  readonly #write: (text: string) => void;

  constructor(write: (text: string) => void, colours: boolean) {
    this.#write = write;
    this.#colours = colours;
  }

  heading(text: string): void {
    this.#write(`\n${this.#paint('1', text)}\n`);
  }

  line(text = ''): void {
    this.#write(text === '' ? '\n' : `  ${text}\n`);
  }

  faint(text: string): void {
    this.line(this.#paint('2', text));
  }

  /** `otherwise` says what was found in its place. */
  claim(holds: boolean, text: string, otherwise: string): void {
    if (holds) this.line(`${this.#paint('32', '✓')} ${text}`);
    else {
      this.failed += 1;
      this.line(`${this.#paint('31', '✗')} ${text}: ${this.#paint('31', otherwise)}`);
    }
  }

  #paint(code: string, text: string): string {
    return this.#colours ? `\x1b[${code}m${text}\x1b[0m` : text;
  }
}
