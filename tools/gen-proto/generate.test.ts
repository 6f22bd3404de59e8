import assert from 'node:assert/strict';
import test from 'node:test';
import { generateProto, readCommitted } from './generate.ts';

test('the committed code is what the .proto files generate', () => {
  const generated = generateProto();
  const committed = readCommitted();
  assert.deepEqual([...committed.keys()], [...generated.keys()]);
  for (const [path, text] of generated) assert.equal(committed.get(path), text, `${path}: run tools/gen-proto.ts`);
});

test('the generated code has no syntax that Node cannot strip', () => {
  const files = [...readCommitted()];
  assert.ok(files.length > 0);
  for (const [path, text] of files) assert.doesNotMatch(text, /^\s*(export\s+)?(const\s+)?(enum|namespace)\s/m, path);
});
