/** The load process: one run of one load, asked for as JSON in its argument, answered as JSON on its last line. */
import { runBulk } from './bulk.ts';
import { runIdle } from './idle.ts';
import { OPEN_FILES } from './limits.ts';
import type { Figures, LoadRequest } from './request.ts';
import { runRequests } from './request-reply.ts';
import { raiseOpenFiles } from './sockets.ts';
import { writeLine } from './stdout.ts';

function run(request: LoadRequest): Figures {
  const { load } = request;
  switch (load.kind) {
    case 'bulk-up':
    case 'bulk-down':
      return runBulk(request, load);
    case 'rr':
    case 'crr':
      return runRequests(request, load);
    case 'idle':
      return runIdle(request, load);
  }
}

try {
  raiseOpenFiles(OPEN_FILES);
  const figures = run(JSON.parse(process.argv[2] as string) as LoadRequest);
  writeLine(JSON.stringify({ figures }));
  process.exit(0);
} catch (error) {
  writeLine(JSON.stringify({ failed: error instanceof Error ? error.message : String(error) }));
  process.exit(1);
}
