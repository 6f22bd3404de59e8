/** Brings h2spec, the conformance suite for HTTP/2, into `.cache/bin`. Needs Go; does nothing where it is there already. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The last release that Go can install by its version. Written in full: not every module proxy resolves `v2.2.1`. */
const H2SPEC = 'github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible';

const bin = join(import.meta.dirname, '..', '.cache', 'bin');
if (!existsSync(join(bin, 'h2spec'))) {
  const { status, error } = spawnSync('go', ['install', H2SPEC], {
    env: { ...process.env, GOBIN: bin },
    stdio: 'inherit',
  });
  if (error !== undefined) console.error(`h2spec was not installed: ${error.message}. Install Go 1.21 or later.`);
  process.exitCode = status ?? 1;
}
