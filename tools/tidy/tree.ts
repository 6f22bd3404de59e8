/** The repository as a map of paths to texts, so that a test can hand the rules a small one that breaks them. */
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

export type Tree = ReadonlyMap<string, string>;

const SKIPPED_DIRECTORIES = new Set(['node_modules', '.git', '.cache', 'out']);
const TEXT_EXTENSIONS = new Set([
  '.ts',
  '.mts',
  '.mjs',
  '.js',
  '.json',
  '.md',
  '.sh',
  '.yaml',
  '.yml',
  '.html',
  '.css',
]);
const TEXT_FILES = new Set(['.ci/run', 'package-lock.json']);

export function readTree(root: string): Tree {
  const tree = new Map<string, string>();
  const walk = (directory: string): void => {
    for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
      if (entry.isDirectory() && !SKIPPED_DIRECTORIES.has(entry.name)) walk(path);
      const isText = TEXT_EXTENSIONS.has(extname(path)) || TEXT_FILES.has(path);
      if (entry.isFile() && isText) tree.set(path, readFileSync(join(root, path), 'utf8'));
    }
  };
  walk('');
  return tree;
}
