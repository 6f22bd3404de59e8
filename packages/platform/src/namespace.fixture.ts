/** Network namespaces for tests: made with a name of their own, removed in the end. Needs root. */
import { execFileSync, spawnSync } from 'node:child_process';

export interface TestNamespace {
  readonly name: string;
  readonly path: string;
  /** Runs a command inside; throws with what it printed when it fails. */
  run(command: string, ...args: string[]): string;
}

/** Gives `use` a namespace with loopback up. */
export async function withTestNamespace(use: (namespace: TestNamespace) => void | Promise<void>): Promise<void> {
  const name = `ambit-test-${process.pid}-${counter++}`;
  ip('netns', 'add', name);
  try {
    const run = (command: string, ...args: string[]) => ip('netns', 'exec', name, command, ...args);
    run('ip', 'link', 'set', 'lo', 'up');
    await use({ name, path: `/run/netns/${name}`, run });
  } finally {
    spawnSync('ip', ['netns', 'del', name]);
  }
}

let counter = 0;

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
