/** Scripts as they are loaded, kept in testdata to be read as prose. UPDATE_GOLDEN=1 writes them anew. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { renderSets } from './ipset.ts';
import { NO_LIVE_RULES, renderIptables, renderIptablesRemoval } from './iptables.ts';
import { parseSave } from './iptables-save.ts';
import { renderNftables, renderNftablesRemoval } from './nftables.ts';
import { hostPlan, podPlan, type RedirectPlan } from './rules.ts';

const directory = join(import.meta.dirname, 'testdata');
const podAddresses = ['10.0.0.9', '10.0.0.10', '2001:db8::A'];

const PLANS: Readonly<Record<string, RedirectPlan>> = {
  default: podPlan({ ipv6: false, dnsCapture: true }),
  default_ipv6: podPlan({ ipv6: true, dnsCapture: true }),
  no_dns_ipv6: podPlan({ ipv6: true, dnsCapture: false }),
  ingress: podPlan({ ipv6: false, dnsCapture: false, ingressMode: true }),
  reroute: podPlan({ ipv6: false, dnsCapture: false, rerouteInterfaces: ['vm0', 'vm1'] }),
  ingress_and_reroute_ipv6: podPlan({
    ipv6: true,
    dnsCapture: false,
    ingressMode: true,
    rerouteInterfaces: ['vm0', 'vm1'],
  }),
  exclusions_ipv6: podPlan({
    ipv6: true,
    dnsCapture: true,
    excludeOutboundPorts: [3306, 9090],
    excludeOutboundCidrs: ['198.51.100.0/24', '2001:db8:5::/48'],
    excludeInboundPorts: [9100],
  }),
  hostprobe: hostPlan({ ipv6: false, podAddresses, proberUid: 1000 }),
  hostprobe_ipv6: hostPlan({ ipv6: true, podAddresses }),
};

const files = new Map<string, string>();
for (const [name, plan] of Object.entries(PLANS)) {
  files.set(`nftables_${name}.golden`, `# nft -f -\n${renderNftables(plan)}`);
  const sets = plan.sets.length === 0 ? '' : `# ipset restore\n${renderSets(plan.sets)}\n`;
  const scripts = plan.families.map((family) => {
    return `# ${family === 4 ? 'iptables' : 'ip6tables'}-restore --noflush\n${renderIptables(plan, family, NO_LIVE_RULES)}`;
  });
  files.set(`iptables_${name}.golden`, `${sets}${scripts.join('\n')}`);
}
files.set('nftables_remove.golden', `# nft -f -\n${renderNftablesRemoval('ambit_pod')}`);
files.set(
  'iptables_remove.golden',
  `# iptables-restore --noflush\n${renderIptablesRemoval(podPlan({ ipv6: false, dnsCapture: true }), 4, installed())}`,
);

for (const [name, text] of files) {
  test(`${name} is what is loaded`, () => {
    const path = join(directory, name);
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(path, text);
    assert.equal(text, readFileSync(path, 'utf8'));
  });
}

test('there is no golden file without a plan', () => {
  assert.deepEqual(readdirSync(directory).sort(), [...files.keys()].sort());
});

test('what is there already is neither doubled nor deleted', () => {
  const plan = podPlan({ ipv6: false, dnsCapture: true });
  const script = renderIptables(plan, 4, installed());
  assert.doesNotMatch(script, /^(-[DXFI]|-A (PREROUTING|OUTPUT))/m);
  assert.equal(script.match(/^-A AMBIT_POD_/gm)?.length, plan.rules.length);
});

test('jumps that came twice or lead from elsewhere are taken away, those of others stay', () => {
  const save = [
    '*nat',
    ':OTHER - [0:0]',
    ':AMBIT_POD_OUTPUT - [0:0]',
    ':AMBIT_POD_OLD - [0:0]',
    ':AMBIT_HOST_POSTROUTING - [0:0]',
    '-A OUTPUT -j AMBIT_POD_OUTPUT',
    '-A OUTPUT -j AMBIT_POD_OUTPUT',
    '-A OUTPUT -j OTHER',
    '-A OTHER -p udp -g AMBIT_POD_OLD',
    'COMMIT',
  ].join('\n');
  const script = renderIptables(podPlan({ ipv6: false, dnsCapture: false }), 4, parseSave(save, 'ambit_pod'));
  const changes = script.split('\n').filter((line) => /^-[DFX]|^-A (OUTPUT|PREROUTING)/.test(line));
  assert.deepEqual(changes, [
    '-A PREROUTING -j AMBIT_POD_PREROUTING',
    '-A OUTPUT -j AMBIT_POD_OUTPUT',
    '-D OUTPUT -j AMBIT_POD_OUTPUT',
    '-D OTHER -p udp -g AMBIT_POD_OLD',
    '-F AMBIT_POD_OLD',
    '-X AMBIT_POD_OLD',
    '-A PREROUTING -j AMBIT_POD_PREROUTING',
  ]);
});

/** As iptables-save shows the default plan. */
function installed() {
  const rules = renderIptables(podPlan({ ipv6: false, dnsCapture: true }), 4, NO_LIVE_RULES);
  return parseSave(rules, 'ambit_pod');
}
