/** How a ztunnel introduces itself: an id that istiod splits at `~`, and metadata (ztunnel facts 1.5). */
import { type Node, NodeSchema } from '@ambit/proto/node';
import { create } from '@ambit/proto/protobuf';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface NodeOptions {
  readonly podName: string;
  readonly podNamespace: string;
  readonly nodeName: string;
  /** Of this proxy. */
  readonly instanceIp?: string;
  /** ISTIO_META_*, PROXY_CONFIG's proxyMetadata and the parsed ISTIO_METAJSON_*; the last of equal keys wins. */
  readonly metadata?: Readonly<Record<string, Json>>;
}

/** istiod wants a valid address there, and uses it for nothing in a ztunnel's case. */
const NO_IP = '1.1.1.1';

export function ztunnelNode({ podName, podNamespace, nodeName, instanceIp = NO_IP, metadata }: NodeOptions): Node {
  return create(NodeSchema, {
    // Literally `svc.cluster.local`, whatever the cluster's domain is.
    id: `ztunnel~${instanceIp}~${podName}.${podNamespace}~${podNamespace}.svc.cluster.local`,
    metadata: {
      NAME: podName,
      NAMESPACE: podNamespace,
      INSTANCE_IPS: instanceIp,
      NODE_NAME: nodeName,
      ...(metadata as Record<string, never>),
    },
  });
}
