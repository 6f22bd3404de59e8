import assert from 'node:assert/strict';
import test from 'node:test';
import { NodeSchema } from '@ambit/proto/node';
import { fromBinary, toBinary } from '@ambit/proto/protobuf';
import { ztunnelNode } from './node.ts';

test('the id has four parts for istiod, whatever is known of the pod', () => {
  const node = ztunnelNode({ podName: 'zt-1', podNamespace: 'istio-system', nodeName: 'n1', instanceIp: '10.0.0.5' });
  assert.equal(node.id, 'ztunnel~10.0.0.5~zt-1.istio-system~istio-system.svc.cluster.local');
  assert.equal(ztunnelNode({ podName: '', podNamespace: '', nodeName: '' }).id, 'ztunnel~1.1.1.1~.~.svc.cluster.local');
});

test('metadata survives the wire: strings of the pod, then the proxy’s own, which may be any JSON', () => {
  const metadata = { CLUSTER_ID: 'c1', NODE_NAME: 'other', LABELS: { a: [1, null, true, { b: 'c' }] } };
  const node = ztunnelNode({ podName: 'zt-1', podNamespace: 'sys', nodeName: 'n1', metadata });
  assert.deepEqual(fromBinary(NodeSchema, toBinary(NodeSchema, node)).metadata, {
    NAME: 'zt-1',
    NAMESPACE: 'sys',
    INSTANCE_IPS: '1.1.1.1',
    ...metadata,
  });
});
