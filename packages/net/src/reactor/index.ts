export { type DatagramsOptions, ReactorDatagrams } from './datagrams.ts';
export { Reactor, type ReactorOptions } from './reactor.ts';

import { Reactor, type ReactorOptions } from './reactor.ts';

export function createReactor(options: ReactorOptions = {}): Reactor {
  return new Reactor(options);
}
