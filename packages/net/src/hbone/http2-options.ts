/** The HTTP/2 parameters of both HBONE roles (as Istio's ztunnel, reference 3.7; `limits.ts` says where ours differ). */
import type { Http2Options } from '@ambit/wire/http2';
import type { Engine } from '../engine.ts';
import type { HboneLimits } from '../limits.ts';

export function http2Options(role: 'client' | 'server', engine: Engine, limits: HboneLimits): Http2Options {
  return {
    role,
    streamWindowInitialBytes: limits.streamWindowInitialBytes,
    streamWindowMaxBytes: limits.streamWindowMaxBytes,
    connectionWindowBytes: limits.connectionWindowBytes,
    frameSizeMaxBytes: limits.frameSizeMaxBytes,
    headerListMaxBytes: role === 'client' ? limits.clientHeaderListMaxBytes : limits.serverHeaderListMaxBytes,
    concurrentStreamsMax: role === 'client' ? 0 : limits.serverStreamsMax,
    headerTableMaxBytes: limits.headerTableMaxBytes,
    continuationsMax: limits.continuationsMax,
    nowMs: () => engine.nowMs(),
    resetsPer10sMax: limits.resetsPer10sMax,
    idleFramesPer10sMax: limits.idleFramesPer10sMax,
    answersQueuedMax: limits.answersQueuedMax,
  };
}
