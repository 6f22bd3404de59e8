/** Nothing in between: client and target on loopback, the most that this machine and this generator can do. */
import type { Subject } from './subject.ts';

export const noMesh: Subject = {
  name: 'no-mesh',
  unavailable: (unpooled) => (unpooled ? 'there is no HBONE without a mesh' : null),
  start: async () => ({
    entry: null,
    pids: [],
    split: false,
    descriptorsEach: 1,
    complaint: () => '',
    stop: async () => {},
  }),
};
