/** A line to whoever started the process, past Node's own stream: its loop does not turn while a poller runs. */
import { libc } from '@ambit/platform/ffi';
import { Region } from '@ambit/platform/region';

const LINE_BYTES_MAX = 4096;
const STDOUT = 1;
const line = Region.map(LINE_BYTES_MAX);

export function writeLine(text: string): void {
  const { written } = new TextEncoder().encodeInto(`${text}\n`, line.bytes);
  libc.write(STDOUT, line.at(0, written), written);
}
