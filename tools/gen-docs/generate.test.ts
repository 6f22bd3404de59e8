import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { helpText } from '@ambit/ztunnel/reference';
import { generateDocs } from './generate.ts';
import { reasonsIn } from './limits.ts';

test('the committed pages are what the code generates', async () => {
  const pages = await generateDocs();
  assert.ok(pages.size > 0);
  for (const [path, text] of pages) assert.equal(readFileSync(path, 'utf8'), text, `${path}: run tools/gen-docs.ts`);
});

test('every variable, prefix, port and limit of the page is in --help', async () => {
  const help = helpText();
  const [page = ''] = (await generateDocs()).values();
  const [own = ''] = page.split('\n### ');
  const names = [...own.matchAll(/^\| (?:`([\w*]+)`|(\d+)) \|/gm)].map(([, name, port]) => name ?? port!);
  assert.ok(names.length > 70);
  for (const name of names) assert.match(help, new RegExp(`^  ${name.replace('*', '\\*')}(?=[ =]|$)`, 'm'), name);
});

test('a reason is the comment above a bound, or above the ones before it', () => {
  const source = `/** Every bound. */
/** As
 * long. */
export const A_MS = 1;
export const B_MS = 2;
export interface Limits {
  /** Room. */
  readonly c: number;
}
export const LIMITS = { c: 1 };`;
  assert.deepEqual(
    [...reasonsIn(source)],
    [
      ['A_MS', 'As long.'],
      ['B_MS', 'As long.'],
      ['c', 'Room.'],
      ['LIMITS', 'Room.'],
    ],
  );
});
