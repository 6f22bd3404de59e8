/** How many data processes to run, as Istio's ztunnel counts its threads. */
import type { WorkerCount } from './kinds.ts';
import type { Values } from './variables.ts';

const AT_LEAST = 2;
const SHARE_OF_CPUS = 0.25;

/** The setting, else `concurrency` of PROXY_CONFIG, else the CPU limit, else a quarter of the CPUs. */
export function workerCount(values: Values, concurrency: number | undefined, cpuCount: number): number {
  const limit = values.ZTUNNEL_RESOURCE_CPU_LIMIT;
  const available = limit ?? values.ZTUNNEL_CPU_LIMIT ?? cpuCount;
  if (values.ZTUNNEL_WORKER_THREADS !== null) return counted(values.ZTUNNEL_WORKER_THREADS, available);
  if (concurrency !== undefined) return concurrency > 0 ? concurrency : available;
  const request = values.ZTUNNEL_RESOURCE_CPU_REQUEST ?? 0;
  // A limit holds even below what is otherwise the least.
  if (limit !== null) return Math.max(limit, request);
  return Math.max(Math.ceil(available * SHARE_OF_CPUS), request, AT_LEAST);
}

function counted(workers: WorkerCount, available: number): number {
  switch (workers.is) {
    case 'count':
      return workers.count;
    case 'percent':
      return Math.ceil((available * workers.percent) / 100);
    case 'all':
      return available;
  }
}
