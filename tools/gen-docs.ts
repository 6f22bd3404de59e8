/** Writes the pages of docs/reference anew from the tables in the code. Run it after changing one; a test compares. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { generateDocs } from './gen-docs/generate.ts';

for (const [path, text] of await generateDocs()) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  console.log(path);
}
