/** HBONE: tunnels of bytes in HTTP/2 CONNECT in mutual TLS, as Istio's ztunnel speaks it (reference 3.5 to 3.9, 4.1). */
export { HBONE_PORT, type PoolCounters } from './destination.ts';
export { HBONE_ERRORS, type HboneErrorCode, HboneStatusError } from './errors.ts';
export { HbonePool, type HbonePoolOptions } from './pool.ts';
export {
  type ConnectHandler,
  type ConnectResponder,
  HboneServer,
  type HboneServerOptions,
  type InboundCall,
  type ServerCounters,
} from './server.ts';
export type { TunnelDialOptions, TunnelRequest, TunnelResponse, TunnelResult } from './tunnel.ts';
