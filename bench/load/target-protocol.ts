/** What client and target say to each other besides the bytes under measure. */
export interface TargetPorts {
  /** Gives back every byte. */
  readonly echo: number;
  /** Takes bytes to the end of the stream, then answers with a report. */
  readonly sink: number;
  /** Takes a count, then sends as many bytes of the pattern. */
  readonly source: number;
}

export const COUNT_BYTES = 8;
export const REPORT_BYTES = 9;

export interface SinkReport {
  readonly received: number;
  readonly intact: boolean;
}

export function writeCount(into: DataView, count: number): void {
  into.setBigUint64(0, BigInt(count));
}

export function writeReport(into: DataView, report: SinkReport): void {
  into.setBigUint64(0, BigInt(report.received));
  into.setUint8(COUNT_BYTES, report.intact ? 1 : 0);
}

export function readReport(from: DataView): SinkReport {
  return { received: Number(from.getBigUint64(0)), intact: from.getUint8(COUNT_BYTES) === 1 };
}
