/**
 * Values of a YAML file that know where they stand: whatever is wrong is said with file, line, column and the path to it.
 * Fields that nobody asked for are errors, because a misspelt condition would otherwise be no condition.
 */
import { AmbitError } from '@ambit/base/errors';
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { nearestWord } from '../nearest-word.ts';

/** The error of a file that cannot be used. */
export const LOCAL_FILE_INVALID = 'LOCAL_FILE_INVALID';

export class YamlValue {
  /** `workloads[0].waypoint`; empty for the whole. */
  readonly path: string;
  readonly #source: Source;
  readonly #node: Node | null;

  constructor(source: Source, node: Node | null, path: string) {
    this.#source = source;
    this.#node = source.resolve(node, path);
    this.path = path;
  }

  get isNull(): boolean {
    return this.#node === null || (isScalar(this.#node) && this.#node.value === null);
  }

  /** `!Exact`; null for what needs none. */
  get tag(): string | null {
    const tag = this.#node?.tag;
    return tag === undefined || tag.startsWith('tag:yaml.org,2002:') ? null : tag;
  }

  /** Here is something wrong. */
  fail(reason: string): never {
    throw this.#source.error(this.#node, `${this.path === '' ? 'the file' : this.path} ${reason}`);
  }

  text(): string {
    return this.#untagged().taggedText();
  }

  /** Of a value whose tag has been looked at. */
  taggedText(): string {
    const node = this.#node;
    if (!isScalar(node) || typeof node.value !== 'string')
      this.fail('must be text (in quotes, if it looks like a number)');
    return node.value;
  }

  boolean(): boolean {
    const node = this.#untagged().#node;
    if (!isScalar(node) || typeof node.value !== 'boolean') this.fail('must be true or false');
    return node.value;
  }

  integer(min: number, max: number): number {
    const node = this.#untagged().#node;
    const value = isScalar(node) ? node.value : null;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      this.fail(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  }

  /** What the word stands for. */
  oneOf<Meaning>(meanings: Readonly<Record<string, Meaning>>): Meaning {
    const word = this.text();
    if (Object.hasOwn(meanings, word)) return meanings[word]!;
    const known = Object.keys(meanings);
    this.fail(`must be one of ${known.join(', ')}, not ${JSON.stringify(word)}`);
  }

  items(): YamlValue[] {
    return this.#untagged().taggedItems();
  }

  taggedItems(): YamlValue[] {
    const node = this.#node;
    if (!isSeq(node)) this.fail('must be a list');
    return node.items.map((item, index) => new YamlValue(this.#source, item as Node | null, `${this.path}[${index}]`));
  }

  /** Of a mapping whose keys are data. */
  entries(): [YamlValue, YamlValue][] {
    return this.#pairs().map(([key, value]) => {
      const path = `${this.path}[${isScalar(key) ? String(key.value) : '?'}]`;
      return [new YamlValue(this.#source, key, path), new YamlValue(this.#source, value, path)];
    });
  }

  /** Of a mapping whose keys are ours. What `read` does not ask for must not be there. */
  fields<Result>(read: (fields: YamlFields) => Result): Result {
    const byName = new Map<string, YamlValue>();
    for (const [key, value] of this.#pairs()) {
      const name = isScalar(key) && typeof key.value === 'string' ? key.value : null;
      if (name === null) throw this.#source.error(key, `${this.path} has a key that is no name`);
      byName.set(name, new YamlValue(this.#source, value ?? key, this.path === '' ? name : `${this.path}.${name}`));
    }
    const fields = new YamlFields(this, byName);
    const result = read(fields);
    for (const [key] of this.#pairs()) {
      const name = String((key as { readonly value?: unknown }).value);
      const complaint = fields.complaintAbout(name);
      if (complaint !== null) throw this.#source.error(key, complaint);
    }
    return result;
  }

  #pairs(): [Node, Node | null][] {
    const node = this.#untagged().#node;
    if (!isMap(node)) this.fail('must be a mapping');
    return node.items.map(({ key, value }) => [key as Node, value as Node | null]);
  }

  #untagged(): this {
    if (this.tag !== null) this.fail(`has the tag ${this.tag}, which means nothing here`);
    return this;
  }
}

export class YamlFields {
  readonly #of: YamlValue;
  readonly #byName: ReadonlyMap<string, YamlValue>;
  readonly #asked = new Set<string>();

  constructor(of: YamlValue, byName: ReadonlyMap<string, YamlValue>) {
    this.#of = of;
    this.#byName = byName;
  }

  required(name: string): YamlValue {
    this.#asked.add(name);
    return this.#byName.get(name) ?? this.#of.fail(`has no ${name}`);
  }

  /** Undefined also when it says null. */
  optional<Result>(name: string, read: (value: YamlValue) => Result): Result | undefined {
    this.#asked.add(name);
    const value = this.#byName.get(name);
    return value === undefined || value.isNull ? undefined : read(value);
  }

  complaintAbout(name: string): string | null {
    if (this.#asked.has(name)) return null;
    const nearest = nearestWord(name, this.#asked);
    const path = this.#of.path === '' ? name : `${this.#of.path}.${name}`;
    return `${path} is not known${nearest === null ? '' : `; did you mean ${nearest}?`}`;
  }
}

/** The whole of a file, which must hold something: an editor empties a file before it writes it. */
export function parseYaml(text: string, fileName: string, nodesMax: number): YamlValue {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, logLevel: 'error', prettyErrors: false });
  const source = new Source(document, lines, fileName, nodesMax);
  const [fault] = document.errors;
  if (fault !== undefined) throw source.errorAt(fault.pos[0], fault.message);
  const root = new YamlValue(source, document.contents as Node | null, '');
  if (root.isNull) root.fail('is empty (a mesh with nothing in it is written {})');
  return root;
}

class Source {
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #fileName: string;
  #nodesLeft: number;

  constructor(document: Document, lines: LineCounter, fileName: string, nodesMax: number) {
    this.#document = document;
    this.#lines = lines;
    this.#fileName = fileName;
    this.#nodesLeft = nodesMax;
  }

  /** Through aliases, of which a small file can make endlessly many values. */
  resolve(node: Node | null, path: string): Node | null {
    this.#nodesLeft -= 1;
    if (this.#nodesLeft < 0)
      throw this.error(node, `${path} is one value too many; are there aliases inside of aliases?`);
    if (!isAlias(node)) return node;
    return node.resolve(this.#document) ?? null;
  }

  error(node: Node | null, reason: string): AmbitError {
    return this.errorAt(node?.range?.[0] ?? 0, reason);
  }

  errorAt(offset: number, reason: string): AmbitError {
    const { line, col } = this.#lines.linePos(offset);
    return new AmbitError(LOCAL_FILE_INVALID, `${this.#fileName}:${line}:${col}: ${reason}`, {
      side: 'internal',
      retry: 'never',
      hint: 'Correct the file; the last one that was right stays in force.',
    });
  }
}
