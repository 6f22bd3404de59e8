/** What an idle connection costs: most connections of a mesh are, at any moment (design section 4, FFI rule 10). */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('idle-connections.fixture.ts', import.meta.url));
/** V8's young generation takes up to 32 MB whatever is in it: held small, or it would count as the connections'. */
const FLAGS = ['--expose-gc', '--max-semi-space-size=1'];
/** 20 % above what is measured: 27 KB resident, 3.7 of them JavaScript's; the rest are OpenSSL's structures. */
const ENDPOINT_BYTES_MAX = 33_000;
const HEAP_BYTES_MAX = 4600;

test('a thousand idle connections take little memory each', () => {
  const { stdout, stderr } = spawnSync(process.execPath, [...FLAGS, PROGRAM], { encoding: 'utf8', timeout: 120_000 });
  assert.match(stdout, /^\{.*\}\n$/, stderr);
  const { connections, endpointBytes, heapBytes } = JSON.parse(stdout);
  assert.equal(connections, 1300, 'all are open at once');
  assert.ok(endpointBytes < ENDPOINT_BYTES_MAX, `${endpointBytes} resident bytes each`);
  assert.ok(heapBytes < HEAP_BYTES_MAX, `${heapBytes} bytes each on JavaScript's heap`);
});
