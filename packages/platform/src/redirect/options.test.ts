import assert from 'node:assert/strict';
import test from 'node:test';
import { EXCLUSIONS_MAX, REROUTE_INTERFACES_MAX } from './limits.ts';
import { annotatedOptions, type RedirectOptions } from './options.ts';
import { hostPlan, podPlan } from './rules.ts';

const DEFAULTS = { ipv6: true, dnsCapture: true };
const BYPASS = 'ambient.istio.io/bypass-inbound-capture';
const DNS = 'ambient.istio.io/dns-capture';
const REROUTE = 'istio.io/reroute-virtual-interfaces';

test('without annotations the defaults of the mesh count', () => {
  assert.deepEqual(annotatedOptions({}, DEFAULTS), {
    options: { ipv6: true, dnsCapture: true, ingressMode: false, rerouteInterfaces: [] },
    problems: [],
  });
});

test('annotations of the pod go over the defaults', () => {
  const annotations = { [BYPASS]: 'true', [DNS]: 'false', [REROUTE]: ' vm0, vm1.5,,' };
  assert.deepEqual(annotatedOptions(annotations, DEFAULTS), {
    options: { ipv6: true, dnsCapture: false, ingressMode: true, rerouteInterfaces: ['vm0', 'vm1.5'] },
    problems: [],
  });
  assert.equal(annotatedOptions({ [DNS]: 'T' }, { ipv6: true, dnsCapture: false }).options.dnsCapture, true);
});

test('an annotation that makes no sense is told and leaves the pod captured', () => {
  const annotations = { [BYPASS]: 'yes', [DNS]: '', [REROUTE]: 'vm0,"; flush ruleset' };
  const { options, problems } = annotatedOptions(annotations, DEFAULTS);
  assert.deepEqual(options, { ipv6: true, dnsCapture: true, ingressMode: false, rerouteInterfaces: ['vm0'] });
  assert.deepEqual(problems, [
    `${REROUTE} names what is no interface, or more than ${REROUTE_INTERFACES_MAX}`,
    `${BYPASS} is "yes" and neither "true" nor "false"`,
    `${DNS} is "" and neither "true" nor "false"`,
  ]);
});

const REFUSED: readonly (readonly [string, Partial<RedirectOptions>])[] = [
  ['a quote in an interface', { rerouteInterfaces: ['a"b'] }],
  ['a new line in an interface', { rerouteInterfaces: ['eth0\n'] }],
  ['a wildcard of iptables', { rerouteInterfaces: ['eth+'] }],
  ['a wildcard of nft', { rerouteInterfaces: ['eth*'] }],
  ['an interface that reads as an option', { rerouteInterfaces: ['-j'] }],
  ['an interface longer than the kernel allows', { rerouteInterfaces: ['a'.repeat(16)] }],
  ['too many interfaces', { rerouteInterfaces: Array(REROUTE_INTERFACES_MAX + 1).fill('eth0') }],
  ['port 0', { excludeOutboundPorts: [0] }],
  ['a port beyond 65535', { excludeInboundPorts: [65_536] }],
  ['half a port', { excludeInboundPorts: [80.5] }],
  ['too many ports', { excludeOutboundPorts: Array(EXCLUSIONS_MAX + 1).fill(80) }],
  ['a prefix that is too long', { excludeOutboundCidrs: ['10.0.0.0/33'] }],
  ['a block with a command behind it', { excludeOutboundCidrs: ['10.0.0.0/8 accept'] }],
  ['a block with two prefixes', { excludeOutboundCidrs: ['10.0.0.0/8/8'] }],
  ['a mapped block', { excludeOutboundCidrs: ['::ffff:10.0.0.0/104'] }],
  ['a name', { excludeOutboundCidrs: ['localhost'] }],
  ['nothing', { excludeOutboundCidrs: [''] }],
];

for (const [what, options] of REFUSED) {
  test(`${what} is refused before it reaches a script`, () => {
    assert.throws(() => podPlan({ ...DEFAULTS, ...options }), { code: 'REDIRECT_OPTIONS' });
  });
}

test('a bound is reached and not passed', () => {
  const ports = Array.from({ length: EXCLUSIONS_MAX }, (_, index) => index + 1);
  const excluded = podPlan({ ...DEFAULTS, excludeOutboundPorts: ports });
  assert.equal(excluded.rules.length, podPlan(DEFAULTS).rules.length + EXCLUSIONS_MAX);
});

test('a single address is a block of its own, and blocks are written one way', () => {
  const { rules } = podPlan({ ...DEFAULTS, excludeOutboundCidrs: ['192.0.2.1', '2001:DB8:0::/32'] });
  const blocks = rules.filter(({ why }) => why === 'excluded outbound block').map(({ match }) => match.destination);
  assert.deepEqual(blocks, [
    { value: '192.0.2.1/32', not: false },
    { value: '2001:db8::/32', not: false },
  ]);
});

test('addresses of pods are sorted into the set of their family, each once', () => {
  const podAddresses = ['10.0.0.2', '2001:db8::1', '10.0.0.1', '::ffff:10.0.0.1'];
  assert.deepEqual(hostPlan({ ipv6: true, podAddresses }).sets, [
    { name: 'ambit_host_probes4', family: 4, addresses: ['10.0.0.1', '10.0.0.2'] },
    { name: 'ambit_host_probes6', family: 6, addresses: ['2001:db8::1'] },
  ]);
  assert.throws(() => hostPlan({ ipv6: true, podAddresses: ['10.0.0.0/8'] }), { code: 'REDIRECT_OPTIONS' });
});
