/** A fixed number of bytes one way over some streams, from the first byte to the last one confirmed. */
import { Region } from '@ambit/platform/region';
import { CHUNK_BYTES } from './limits.ts';
import { Meter } from './meter.ts';
import { mapPattern, matchesPattern, phaseOf } from './pattern.ts';
import { Poller, READABLE, WRITABLE } from './poller.ts';
import type { Figures, Load, LoadRequest } from './request.ts';
import { endWriting, readInto, writeFrom } from './sockets.ts';
import { COUNT_BYTES, REPORT_BYTES, readReport, writeCount } from './target-protocol.ts';
import { type Route, Tunnel } from './tunnel.ts';

type BulkLoad = Extract<Load, { kind: 'bulk-up' | 'bulk-down' }>;

const pattern = mapPattern();
const chunk = Region.map(CHUNK_BYTES);

export function runBulk(request: LoadRequest, load: BulkLoad): Figures {
  const poller = new Poller();
  if (load.warmupBytes > 0) transfer(poller, request, load, load.warmupBytes, null);
  const meter = new Meter(request);
  transfer(poller, request, load, load.bytes, meter);
  const { seconds, subjectCpuSeconds, loadCores } = meter.stop();
  return {
    gbitPerSecond: (load.bytes * 8) / 1e9 / seconds,
    cpuSecondsPerGB: subjectCpuSeconds / (load.bytes / 1e9),
    loadCores,
  };
}

/** The meter starts when all streams are open, so that opening them does not count. */
function transfer(poller: Poller, request: LoadRequest, load: BulkLoad, bytes: number, meter: Meter | null): void {
  const up = load.kind === 'bulk-up';
  const port = up ? request.targetPorts.sink : request.targetPorts.source;
  const route: Route = { target: { ip: request.targetIp, port }, entry: request.entry };
  const progress: Progress = { opened: 0, finished: 0 };
  const streams: (Upload | Download)[] = [];
  for (let i = 0; i < load.streams; i++) {
    const share = Math.floor(bytes / load.streams) + (i < bytes % load.streams ? 1 : 0);
    streams.push(up ? new Upload(poller, route, share, progress) : new Download(poller, route, share, progress));
  }
  poller.run(() => progress.opened === load.streams);
  meter?.start();
  for (const stream of streams) stream.begin();
  poller.run(() => progress.finished === load.streams);
}

interface Progress {
  opened: number;
  finished: number;
}

abstract class BulkStream extends Tunnel {
  protected readonly bytes: number;
  protected moved = 0;
  readonly #progress: Progress;

  constructor(poller: Poller, route: Route, bytes: number, progress: Progress) {
    super(poller, route);
    this.bytes = bytes;
    this.#progress = progress;
  }

  abstract begin(): void;

  protected onOpen(): void {
    this.watch(0);
    this.#progress.opened++;
  }

  protected finish(): void {
    this.#progress.finished++;
    this.close();
  }
}

class Upload extends BulkStream {
  #reportBytes = 0;
  readonly #report = new Uint8Array(REPORT_BYTES);

  begin(): void {
    this.watch(WRITABLE);
  }

  protected onEvents(): void {
    if (this.moved < this.bytes) this.#fill();
    else this.#readReport();
  }

  #fill(): void {
    const length = Math.min(CHUNK_BYTES, this.bytes - this.moved);
    const count = writeFrom(this.fd, pattern.at(phaseOf(this.moved), length), length);
    if (count > 0) this.moved += count;
    if (this.moved < this.bytes) return;
    endWriting(this.fd);
    this.watch(READABLE);
  }

  #readReport(): void {
    const wanted = REPORT_BYTES - this.#reportBytes;
    const count = readInto(this.fd, chunk.at(0, wanted), wanted);
    if (count === 0) throw new Error('the stream ended before the target had confirmed the bytes');
    if (count < 0) return;
    this.#report.set(chunk.bytes.subarray(0, count), this.#reportBytes);
    this.#reportBytes += count;
    if (this.#reportBytes < REPORT_BYTES) return;
    const report = readReport(new DataView(this.#report.buffer));
    if (report.received !== this.bytes) throw new Error(`${report.received} of ${this.bytes} bytes arrived`);
    if (!report.intact) throw new Error('bytes arrived changed or out of order');
    this.finish();
  }
}

class Download extends BulkStream {
  begin(): void {
    writeCount(chunk.view, this.bytes);
    if (writeFrom(this.fd, chunk.at(0, COUNT_BYTES), COUNT_BYTES) !== COUNT_BYTES) throw new Error('no room to ask');
    this.watch(READABLE);
  }

  protected onEvents(): void {
    const count = readInto(this.fd, chunk.at(0, CHUNK_BYTES), CHUNK_BYTES);
    if (count > 0) {
      if (!matchesPattern(chunk.bytes, count, pattern.bytes, phaseOf(this.moved))) {
        throw new Error('bytes arrived changed or out of order');
      }
      this.moved += count;
    } else if (count === 0) {
      if (this.moved !== this.bytes) throw new Error(`${this.moved} of ${this.bytes} bytes arrived`);
      this.finish();
    }
  }
}
