/** A name to an address by way of the pod's own DNS proxy, for what is asked by name inside the proxy (SOCKS5). */

import type { EngineTimer } from '@ambit/net/engine';
import { canonicalIp } from '@ambit/wire/ip';
import { encode, RECURSION_DESIRED } from 'dns-packet';
import { UDP_ANSWER_BYTES_DEFAULT } from './limits.ts';
import { decodeMessage } from './message.ts';
import { parseQuery } from './query.ts';
import type { DnsServer } from './server.ts';

const NAME_CHARS_MAX = 253;
const LABEL = /^[A-Za-z0-9_-]{1,63}$/;

/** The first address of the answer, or null. `onAddress` is called once, perhaps before this returns. */
export function resolveName(
  server: Pick<DnsServer, 'handle'>,
  name: string,
  wantsIpv6: boolean,
  onAddress: (ip: string | null) => void,
): EngineTimer | null {
  const type = wantsIpv6 ? 'AAAA' : 'A';
  const labels = name.replace(/\.$/, '').split('.');
  if (name.length > NAME_CHARS_MAX || !labels.every((label) => LABEL.test(label))) {
    onAddress(null);
    return null;
  }
  const message = encode({
    type: 'query',
    id: 0,
    flags: RECURSION_DESIRED,
    questions: [{ type, name: labels.join('.') }],
  });
  const parsed = parseQuery(message, 0, message.length);
  if (parsed.is !== 'query') {
    onAddress(null);
    return null;
  }
  return server.handle(parsed.query, 'udp', UDP_ANSWER_BYTES_DEFAULT, (answer) => {
    // Aliases come before what they lead to; whoever gave the answer has followed them.
    const record = decodeMessage(answer)?.answers?.find((each) => each.type === type);
    onAddress(record?.type === 'A' || record?.type === 'AAAA' ? canonicalIp(record.data) : null);
  });
}
