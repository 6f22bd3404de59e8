/** Redirection of pods to their node's proxy: what to capture (rules) and how it is kept in the kernel (redirector). */
export { type Difference, describeDifference } from './difference.ts';
export { type AnnotatedOptions, annotatedOptions, type RedirectOptions } from './options.ts';
export { chooseRedirection, type Redirection, type RedirectionChoice, type Redirector } from './redirector.ts';
export {
  DNS_PORT,
  type HostOptions,
  hostPlan,
  INBOUND_HBONE_PORT,
  INBOUND_PLAINTEXT_PORT,
  OUTBOUND_PORT,
  PROBE_SOURCE,
  PROXY_MARK,
  podPlan,
  type RedirectPlan,
} from './rules.ts';
export { Tools } from './tools.ts';
