/**
 * ZDS, between the node's agent (or istio-cni), which listens, and its proxy: one protobuf message per SEQPACKET record,
 * beside an added workload its network namespace as a descriptor. Decoding judges everything that a single record can
 * be wrong about, as Istio's ztunnel and istio-cni do; what depends on earlier records is the session's.
 */
import { AmbitError } from '@ambit/base/errors';
import { create, fromBinary, type MessageInitShape, toBinary } from '@ambit/proto/protobuf';
import {
  Version,
  type WorkloadRequest,
  WorkloadRequestSchema,
  WorkloadResponseSchema,
  ZdsHelloSchema,
} from '@ambit/proto/zds';
import { ZDS_RECORD_MAX_BYTES } from './limits.ts';

export interface ZdsPod {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** From the agent. Each is answered by one ack, in order. */
export type ZdsRequest =
  /** Carries exactly one descriptor; the others carry none. */
  | { readonly kind: 'add'; readonly uid: string; readonly pod: ZdsPod }
  /** Its proxy runs on from an earlier connection. */
  | { readonly kind: 'keep'; readonly uid: string }
  | { readonly kind: 'del'; readonly uid: string }
  /** Every pod of the node was named; what was not is gone. */
  | { readonly kind: 'snapshot-sent' };

/** From the proxy. An empty error means success. */
export interface ZdsAck {
  readonly kind: 'ack';
  readonly error: string;
}

/** `code` is stable, for logs and metrics; `reason` is for a person. Whoever gets one ends the connection. */
export interface ZdsRefusal {
  readonly kind: 'refused';
  readonly code: 'ZDS_RECORD' | 'ZDS_VERSION' | 'ZDS_DESCRIPTORS' | 'ZDS_WORKLOAD_INFO';
  readonly reason: string;
}

/** The proxy's first record. */
export function encodeZdsHello(): Uint8Array {
  return toBinary(ZdsHelloSchema, create(ZdsHelloSchema, { version: Version.V1 }));
}

export function decodeZdsHello(record: Uint8Array): { readonly kind: 'hello' } | ZdsRefusal {
  const hello = parse(record, (bytes) => fromBinary(ZdsHelloSchema, bytes));
  if ('kind' in hello) return hello;
  if (hello.version === Version.V1) return { kind: 'hello' };
  return refused('ZDS_VERSION', `version ${hello.version} of the protocol is not known, only ${Version.V1} is`);
}

/** Throws `ZDS_TOO_LONG` where the names of a pod do not fit: the peer would see half a record. */
export function encodeZdsRequest(request: ZdsRequest): Uint8Array {
  const bytes = toBinary(WorkloadRequestSchema, create(WorkloadRequestSchema, messageOf(request)));
  if (bytes.length <= ZDS_RECORD_MAX_BYTES) return bytes;
  throw new AmbitError('ZDS_TOO_LONG', `${bytes.length} bytes do not fit a record of ${ZDS_RECORD_MAX_BYTES}`, {
    side: 'internal',
    retry: 'never',
    hint: 'Shorten the names of the pod, its namespace and its service account.',
  });
}

/** `descriptors` is how many came with the record. */
export function decodeZdsRequest(record: Uint8Array, descriptors: number): ZdsRequest | ZdsRefusal {
  const message = parse(record, (bytes) => fromBinary(WorkloadRequestSchema, bytes));
  if ('kind' in message) return message;
  const request = requestOf(message.payload);
  if (request.kind === 'refused') return request;
  const expected = request.kind === 'add' ? 1 : 0;
  if (descriptors === expected) return request;
  return refused('ZDS_DESCRIPTORS', `${request.kind} came with ${descriptors} descriptors instead of ${expected}`);
}

/** An error that would not fit the record is cut. */
export function encodeZdsAck(error: string): Uint8Array {
  const text = error.toWellFormed();
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(ZDS_RECORD_MAX_BYTES - ACK_OVERHEAD_BYTES));
  const payload = { case: 'ack', value: { error: text.slice(0, read) } } as const;
  return toBinary(WorkloadResponseSchema, create(WorkloadResponseSchema, { payload }));
}

export function decodeZdsAck(record: Uint8Array): ZdsAck | ZdsRefusal {
  const message = parse(record, (bytes) => fromBinary(WorkloadResponseSchema, bytes));
  if ('kind' in message) return message;
  if (message.payload.case === 'ack') return { kind: 'ack', error: message.payload.value.error };
  return refused('ZDS_RECORD', 'the response holds no ack');
}

/** Two tags of one byte, two lengths of two. */
const ACK_OVERHEAD_BYTES = 6;

function messageOf(request: ZdsRequest): MessageInitShape<typeof WorkloadRequestSchema> {
  switch (request.kind) {
    case 'add':
      return { payload: { case: 'add', value: { uid: request.uid, workloadInfo: { ...request.pod } } } };
    case 'keep':
      return { payload: { case: 'keep', value: { uid: request.uid } } };
    case 'del':
      return { payload: { case: 'del', value: { uid: request.uid } } };
    case 'snapshot-sent':
      return { payload: { case: 'snapshotSent', value: {} } };
  }
}

function requestOf(payload: WorkloadRequest['payload']): ZdsRequest | ZdsRefusal {
  if (payload.case === 'snapshotSent') return { kind: 'snapshot-sent' };
  if (payload.case === undefined) return refused('ZDS_RECORD', 'the request holds nothing that is known');
  const { uid } = payload.value;
  if (uid === '') return refused('ZDS_RECORD', `${payload.case} names no workload`);
  if (payload.case !== 'add') return { kind: payload.case, uid };
  const info = payload.value.workloadInfo;
  if (info === undefined) return refused('ZDS_WORKLOAD_INFO', `add of ${uid} came without workload_info`);
  const { name, namespace, serviceAccount } = info;
  return { kind: 'add', uid, pod: { name, namespace, serviceAccount } };
}

function parse<T>(record: Uint8Array, read: (bytes: Uint8Array) => T): T | ZdsRefusal {
  if (record.length > ZDS_RECORD_MAX_BYTES) {
    return refused('ZDS_RECORD', `${record.length} bytes are more than a record holds`);
  }
  try {
    return read(record);
  } catch (thrown) {
    return refused('ZDS_RECORD', `not a message: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

function refused(code: ZdsRefusal['code'], reason: string): ZdsRefusal {
  return { kind: 'refused', code, reason };
}
