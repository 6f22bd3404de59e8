/**
 * The experiment that the reactor grew from, both hops in one process, without verification: the rates to reach. It
 * names its ports and needs koffi and a certificate beside it, so a copy with free ports runs in a directory of its own.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, untilAccepts } from './ports.ts';
import { START_TIMEOUT_MS, type Subject } from './subject.ts';

const ENTRY_PORT = '15083';
const INBOUND_PORT = '15011';

export const reactorExperiment: Subject = {
  name: 'reactor-experiment',
  unavailable: (unpooled) => {
    const script = process.env.REACTOR_JS;
    if (script === undefined) return 'set REACTOR_JS to the path of the script';
    if (!existsSync(script)) return `REACTOR_JS names no file: ${script}`;
    return unpooled ? 'it always pools' : null;
  },
  start: async (children) => {
    const directory = children.temporaryDirectory();
    const entryPort = await freePort();
    const script = readFileSync(process.env.REACTOR_JS as string, 'utf8')
      .replaceAll(ENTRY_PORT, String(entryPort))
      .replaceAll(INBOUND_PORT, String(await freePort()));
    writeFileSync(join(directory, 'reactor.mjs'), script);
    symlinkSync(join(import.meta.dirname, '../../node_modules'), join(directory, 'node_modules'));
    makeCertificate(directory);
    const child = children.start(process.execPath, ['reactor.mjs'], { cwd: directory });
    await untilAccepts(entryPort, child, START_TIMEOUT_MS);
    return {
      entry: { ip: '127.0.0.1', port: entryPort },
      pids: [child.pid],
      split: false,
      descriptorsEach: 2,
      complaint: () => child.complaint(),
      stop: () => child.stop(),
    };
  },
};

function makeCertificate(directory: string): void {
  const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench';
  execFileSync('openssl', [...request.split(' '), '-keyout', 'key.pem', '-out', 'cert.pem'], {
    cwd: directory,
    stdio: 'ignore',
  });
}
