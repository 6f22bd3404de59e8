import assert from 'node:assert/strict';
import test from 'node:test';
import { parseYaml, type YamlValue } from './yaml-value.ts';

/** Reads everything. */
function sizeOf(value: YamlValue): number {
  return 1 + value.items().reduce((sum, item) => sum + sizeOf(item), 0);
}

const NESTED = `
- &a [[], [], [], []]
- &b [*a, *a, *a, *a]
- &c [*b, *b, *b, *b]
- [*c, *c, *c, *c]
`;

test('a small file does not become endless by aliases inside of aliases', () => {
  assert.equal(sizeOf(parseYaml(NESTED, 'f', 1000)), 453);
  assert.throws(() => sizeOf(parseYaml(NESTED, 'f', 400)), {
    code: 'LOCAL_FILE_INVALID',
    message: /^f:\d+:\d+: .* is one value too many/,
  });
});

test('an alias of itself ends too', () => {
  assert.throws(() => sizeOf(parseYaml('&a [*a]', 'f', 1000)), { code: 'LOCAL_FILE_INVALID' });
});
