/**
 * TypeScript from our .proto files, by buf and protoc-gen-es as pinned in package.json: plain objects in place of enums,
 * because Node only strips types, and file names that say what is generated.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');

/** Where the generated files are committed. */
export const COMMITTED = join(root, 'packages', 'proto', 'src', 'gen');

/** Text by path, relative to where the files belong. */
export function generateProto(): Map<string, string> {
  const out = mkdtempSync(join(tmpdir(), 'gen-proto-'));
  try {
    runBuf(out);
    return new Map(readGenerated(out, '_pb.ts').map(([path, text]) => [rename(path), adapt(text)]));
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

export function readCommitted(): Map<string, string> {
  return new Map(readGenerated(COMMITTED, '.ts'));
}

function runBuf(out: string): void {
  const plugin = {
    // Not by its `#!`: the node of the machine may be another.
    local: [process.execPath, join(bin, 'protoc-gen-es')],
    out,
    opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
  };
  const template = JSON.stringify({ version: 'v2', plugins: [plugin] });
  // Copied, so that buf looks for no configuration above it.
  const input = join(out, 'input');
  cpSync(join(root, 'packages', 'proto', 'proto'), input, { recursive: true });
  const buf = spawnSync(join(bin, 'buf'), ['generate', input, '--template', template], { encoding: 'utf8', cwd: out });
  if (buf.error !== undefined) throw buf.error;
  if (buf.status !== 0) throw new Error(`buf generate: ${buf.stderr}${buf.stdout}`);
}

function readGenerated(directory: string, ending: string): [string, string][] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(ending))
    .toSorted()
    .map((path) => [path, readFileSync(join(directory, path), 'utf8')]);
}

function rename(path: string): string {
  return path.replace(/_pb\.ts$/, '.gen.ts');
}

function adapt(text: string): string {
  return text.replace(/(from "\.[^"]*)_pb\.ts"/g, '$1.gen.ts"');
}

export function writeCommitted(files: ReadonlyMap<string, string>): void {
  rmSync(COMMITTED, { recursive: true, force: true });
  for (const [path, text] of files) {
    const target = join(COMMITTED, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
}
