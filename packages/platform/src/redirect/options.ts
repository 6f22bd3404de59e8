/**
 * What may be chosen for one pod, and the annotations that choose it (Istio's names). Text from annotations ends up in
 * scripts for nft and iptables, so nothing passes here that is not exactly a port, a block or an interface.
 */
import { AmbitError } from '@ambit/base/errors';
import { formatIp, parseIp } from '@ambit/wire/ip';
import type { IpFamily } from '../address.ts';
import { EXCLUSIONS_MAX, INTERFACE_NAME_CHARS_MAX, REROUTE_INTERFACES_MAX } from './limits.ts';

export interface RedirectOptions {
  /** Capture IPv6 as well; without it IPv6 passes by the mesh. */
  readonly ipv6: boolean;
  readonly dnsCapture: boolean;
  /** Nothing that comes in is captured: for gateways that serve callers from outside the mesh. */
  readonly ingressMode?: boolean;
  /** TCP that comes in from these (virtual machines in the pod) counts as outbound. */
  readonly rerouteInterfaces?: readonly string[];
  /** TCP to these destination ports leaves in plaintext, past the mesh. DNS has its own switch. */
  readonly excludeOutboundPorts?: readonly number[];
  /** TCP to these address blocks leaves in plaintext, past the mesh. */
  readonly excludeOutboundCidrs?: readonly string[];
  /** TCP to these ports of the pod reaches it without the mesh, and so without its policies. */
  readonly excludeInboundPorts?: readonly number[];
}

export interface CheckedOptions extends Required<Omit<RedirectOptions, 'excludeOutboundCidrs'>> {
  readonly excludeOutboundCidrs: readonly AddressBlock[];
}

export interface AddressBlock {
  readonly family: IpFamily;
  readonly cidr: string;
}

/** Throws `REDIRECT_OPTIONS` for what cannot be put into a rule. */
export function checkOptions(options: RedirectOptions): CheckedOptions {
  const {
    rerouteInterfaces = [],
    excludeOutboundPorts = [],
    excludeOutboundCidrs = [],
    excludeInboundPorts = [],
  } = options;
  atMost(REROUTE_INTERFACES_MAX, 'interfaces to reroute', rerouteInterfaces);
  atMost(EXCLUSIONS_MAX, 'excluded outbound ports', excludeOutboundPorts);
  atMost(EXCLUSIONS_MAX, 'excluded outbound address blocks', excludeOutboundCidrs);
  atMost(EXCLUSIONS_MAX, 'excluded inbound ports', excludeInboundPorts);
  return {
    ipv6: options.ipv6,
    dnsCapture: options.dnsCapture,
    ingressMode: options.ingressMode ?? false,
    rerouteInterfaces: unique(rerouteInterfaces.map(checkInterface)),
    excludeOutboundPorts: unique(excludeOutboundPorts.map(checkPort)),
    excludeOutboundCidrs: excludeOutboundCidrs.map(checkBlock),
    excludeInboundPorts: unique(excludeInboundPorts.map(checkPort)),
  };
}

export interface AnnotatedOptions {
  readonly options: RedirectOptions;
  /** One sentence for each annotation that makes no sense and is not followed: the pod stays captured. */
  readonly problems: readonly string[];
}

/** The options of one pod: the mesh's defaults, changed by what the pod's annotations say. */
export function annotatedOptions(
  annotations: Readonly<Record<string, string>>,
  defaults: Pick<RedirectOptions, 'ipv6' | 'dnsCapture'>,
): AnnotatedOptions {
  const problems: string[] = [];
  const flag = (name: string, otherwise: boolean): boolean => {
    const text = annotations[name];
    if (text === undefined) return otherwise;
    if (TRUE_TEXTS.has(text)) return true;
    if (!FALSE_TEXTS.has(text)) problems.push(`${name} is ${JSON.stringify(text)} and neither "true" nor "false"`);
    return FALSE_TEXTS.has(text) ? false : otherwise;
  };
  const names = (annotations[REROUTE]?.split(',') ?? []).map((name) => name.trim()).filter((name) => name !== '');
  const interfaces = names.filter(isInterfaceName).slice(0, REROUTE_INTERFACES_MAX);
  if (interfaces.length < names.length) {
    problems.push(`${REROUTE} names what is no interface, or more than ${REROUTE_INTERFACES_MAX}`);
  }
  const ingressMode = flag('ambient.istio.io/bypass-inbound-capture', false);
  const dnsCapture = flag('ambient.istio.io/dns-capture', defaults.dnsCapture);
  return { options: { ipv6: defaults.ipv6, dnsCapture, ingressMode, rerouteInterfaces: interfaces }, problems };
}

const REROUTE = 'istio.io/reroute-virtual-interfaces';
/** As Go's strconv.ParseBool, with which Istio reads them. */
const TRUE_TEXTS = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const FALSE_TEXTS = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

/** Neither `+` nor `*`, which are wildcards to iptables and nft, nor anything that ends a quoted string. */
function isInterfaceName(name: string): boolean {
  return name.length <= INTERFACE_NAME_CHARS_MAX && /^[A-Za-z0-9][\w.@:-]*$/.test(name);
}

function checkInterface(name: string): string {
  if (isInterfaceName(name)) return name;
  throw optionsError(`${JSON.stringify(name)} is not the name of an interface`);
}

function checkPort(port: number): number {
  if (Number.isInteger(port) && port >= 1 && port <= 0xffff) return port;
  throw optionsError(`${port} is not a port`);
}

function checkBlock(text: string): AddressBlock {
  const [address = '', bits, ...rest] = text.split('/');
  const bytes = parseIp(address);
  if (bytes !== null && rest.length === 0) {
    const bitsMax = bytes.length * 8;
    const prefixBits = bits === undefined ? bitsMax : /^(0|[1-9]\d{0,2})$/.test(bits) ? Number(bits) : Infinity;
    // The mapped form of IPv4 reads as IPv4, whose prefix is another: refused rather than guessed.
    const isMapped = bytes.length === 4 && address.includes(':');
    if (prefixBits <= bitsMax && !isMapped) {
      return { family: bytes.length === 4 ? 4 : 6, cidr: `${formatIp(bytes)}/${prefixBits}` };
    }
  }
  throw optionsError(`${JSON.stringify(text)} is not an address block like 10.0.0.0/8`);
}

function unique<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)];
}

function atMost(max: number, what: string, values: readonly unknown[]): void {
  if (values.length > max) throw optionsError(`${values.length} ${what} are more than ${max}`);
}

function optionsError(message: string): AmbitError {
  return new AmbitError('REDIRECT_OPTIONS', message, {
    side: 'internal',
    retry: 'never',
    hint: 'Correct the annotation or setting of the pod.',
  });
}
