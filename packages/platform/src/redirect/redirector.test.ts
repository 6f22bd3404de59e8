/** What is in the kernel before, between and after: repeated, damaged, repaired, removed, beside the rules of others. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { type TestNamespace, withTestNamespace } from '../namespace.fixture.ts';
import { openNamespace } from '../namespace.ts';
import { closeDescriptor } from '../socket.ts';
import { describeDifference } from './difference.ts';
import type { RedirectOptions } from './options.ts';
import { chooseRedirection, type RedirectionChoice, type Redirector } from './redirector.ts';
import { hostPlan, podPlan, type RedirectPlan } from './rules.ts';
import { Tools } from './tools.ts';

const ALL = { ipv6: true, dnsCapture: true };
/** So many that nft breaks the list. */
const POD_ADDRESSES = [1, 2, 3, 4, 5, 6].flatMap((n) => [`10.0.0.${n}`, `fd00::${n}`]);
const HOST = hostPlan({ ipv6: true, podAddresses: POD_ADDRESSES });

interface Damage {
  readonly title: string;
  readonly command: string;
  readonly found: readonly RegExp[];
}

interface Subject extends RedirectionChoice {
  readonly name: string;
  readonly damages: readonly Damage[];
  readonly hostDamages: readonly Damage[];
}

const ROUTING_DAMAGES: readonly Damage[] = [
  {
    title: 'a routing rule that was deleted',
    command: 'ip rule del pref 32764',
    found: [/^missing in ip -4 rule: pref 32764 fwmark 0x111\/0xfff lookup 100$/],
  },
  {
    title: 'a routing rule that came twice',
    command: 'ip -6 rule add pref 100 fwmark 0x111/0xfff lookup 100',
    found: [/^extra in ip -6 rule: pref 100 /],
  },
  {
    title: 'routes that were flushed',
    command: 'ip route flush table 100; ip -6 route flush table 100',
    found: [/^missing in ip -4 route: local 0.0.0.0\/0 dev lo/, /^missing in ip -6 route: local ::\/0 dev lo/],
  },
];

const NFT_DAMAGES: readonly Damage[] = [
  {
    title: 'a chain that was flushed',
    command: 'nft flush chain inet ambit_pod mangle_output',
    found: [/^missing in nft inet ambit_pod mangle_output: ct mark .* meta mark set ct mark/],
  },
  {
    title: 'a rule that was put in',
    command: 'nft insert rule inet ambit_pod nat_output tcp dport 443 accept',
    found: [/^extra in nft inet ambit_pod nat_output: tcp dport 443 accept$/],
  },
  {
    title: 'a chain of another that was put in',
    command: 'nft add chain inet ambit_pod other',
    found: [/^extra in nft inet ambit_pod: chain other$/],
  },
  {
    title: 'rules whose order changed',
    command: `
      last=$(nft -a list chain inet ambit_pod nat_output | sed -n 's/.*ip6 daddr != ::1 .*15001.*# handle //p')
      nft delete rule inet ambit_pod nat_output handle $last
      nft insert rule inet ambit_pod nat_output meta l4proto tcp ip6 daddr != ::1 \
        'meta mark & 0xfff != 0x539 counter redirect to :15001 comment "what goes out"'`,
    found: [/^moved in nft inet ambit_pod nat_output: meta l4proto \S+ ip daddr 169/],
  },
  {
    title: 'everything that was flushed',
    command: 'nft flush ruleset',
    found: [/^missing in nft inet ambit_pod: chain nat_output$/, /^missing in nft inet ambit_pod nat_output: .*15001/],
  },
];

function iptablesDamages(suffix: string): readonly Damage[] {
  const [v4, v6] = [`iptables${suffix}`, `ip6tables${suffix}`];
  return [
    {
      title: 'a chain that was flushed',
      command: `${v4} -t mangle -F AMBIT_POD_OUTPUT`,
      found: [/^missing in iptables mangle AMBIT_POD_OUTPUT: .* --restore-mark/],
    },
    {
      title: 'a jump that was deleted',
      command: `${v6} -t nat -D OUTPUT -j AMBIT_POD_OUTPUT`,
      found: [/^missing in ip6tables nat OUTPUT: -A OUTPUT -j AMBIT_POD_OUTPUT$/],
    },
    {
      title: 'a jump that came twice',
      command: `${v4} -t nat -A OUTPUT -j AMBIT_POD_OUTPUT`,
      found: [/^extra in iptables nat OUTPUT: -A OUTPUT -j AMBIT_POD_OUTPUT$/],
    },
    {
      title: 'a rule that was put in',
      command: `${v4} -t nat -I AMBIT_POD_OUTPUT -p tcp --dport 443 -j ACCEPT`,
      found: [/^extra in iptables nat AMBIT_POD_OUTPUT: .*--dport 443 -j ACCEPT$/],
    },
    {
      title: 'rules whose order changed',
      command: `${v4} -t nat -D AMBIT_POD_OUTPUT 1 && ${v4} -t nat -A AMBIT_POD_OUTPUT -d 169.254.7.127 -p tcp -j ACCEPT`,
      found: [/^moved in iptables nat AMBIT_POD_OUTPUT: .*169.254.7.127/],
    },
    {
      title: 'a table that was flushed',
      command: `${v4} -t nat -F; ${v4} -t nat -X`,
      found: [
        /^missing in iptables nat: chain AMBIT_POD_OUTPUT$/,
        /^missing in iptables nat AMBIT_POD_OUTPUT: .*15001$/,
      ],
    },
  ];
}

const NFT_HOST_DAMAGES: readonly Damage[] = [
  {
    title: 'an address that was taken out of the set',
    command: 'nft delete element inet ambit_host ambit_host_probes4 { 10.0.0.2 }',
    found: [/^missing in nft inet ambit_host ambit_host_probes4: 10.0.0.2$/],
  },
  {
    title: 'an address that was put into the set',
    command: 'nft add element inet ambit_host ambit_host_probes6 { fd00::9 }',
    found: [/^extra in nft inet ambit_host ambit_host_probes6: fd00::9$/],
  },
];
const IPSET_HOST_DAMAGES: readonly Damage[] = [
  {
    title: 'an address that was taken out of the set',
    command: 'ipset del ambit_host_probes4 10.0.0.2',
    found: [/^missing in ipset ambit_host_probes4: 10.0.0.2$/],
  },
  {
    title: 'an address that was put into the set',
    command: 'ipset add ambit_host_probes6 fd00::9',
    found: [/^extra in ipset ambit_host_probes6: fd00::9$/],
  },
];

const SUBJECTS: readonly Subject[] = [
  { name: 'nftables', mechanism: 'nftables', damages: NFT_DAMAGES, hostDamages: NFT_HOST_DAMAGES },
  ...(['nft', 'legacy'] as const).map((iptablesFlavour) => ({
    name: `iptables (${iptablesFlavour})`,
    mechanism: 'iptables' as const,
    iptablesFlavour,
    damages: iptablesDamages(`-${iptablesFlavour}`),
    hostDamages: IPSET_HOST_DAMAGES,
  })),
];

for (const subject of SUBJECTS) {
  const redirection = chooseRedirection(subject);
  const within = (use: (at: (plan: RedirectPlan) => Redirector, namespace: TestNamespace) => Promise<void>) =>
    withTestNamespace(async (namespace) => {
      // The kernel keeps the tables of legacy iptables once they were used.
      if (subject.iptablesFlavour === 'legacy') namespace.run('sh', '-c', USE_LEGACY_TABLES);
      const fd = openNamespace(namespace.path);
      try {
        await use((plan) => redirection.redirector(fd, plan), namespace);
      } finally {
        closeDescriptor(fd);
      }
    });

  test(`${subject.name}: installing twice is as installing once`, () =>
    within(async (at, namespace) => {
      for (const plan of [podPlan(ALL), HOST]) {
        await at(plan).install();
        const once = kernelState(namespace);
        await at(plan).install();
        assert.equal(kernelState(namespace), once);
        assert.deepEqual(await at(plan).verify(), []);
      }
    }));

  test(`${subject.name}: a plan that replaces another is as if it had been the first`, async () => {
    const states: string[] = [];
    const small: RedirectOptions = { ipv6: false, dnsCapture: false, ingressMode: true };
    for (const before of [[], [podPlan(ALL)]]) {
      await within(async (at, namespace) => {
        for (const plan of before) await at(plan).install();
        await at(podPlan(small)).install();
        assert.deepEqual(await at(podPlan(small)).verify(), []);
        states.push(ourState(namespace));
        const differences = await at(podPlan(ALL)).verify();
        assert.ok(differences.length > 10, 'and not the other one');
      });
    }
    assert.equal(states[0], states[1]);
    assert.match(states[0] ?? '', /15001/);
  });

  test(`${subject.name}: damage is told and repaired`, () =>
    within(async (at, namespace) => {
      const redirector = at(podPlan(ALL));
      await redirector.install();
      const sound = kernelState(namespace);
      for (const { title, command, found } of [...subject.damages, ...ROUTING_DAMAGES]) {
        namespace.run('sh', '-c', command);
        const told = (await redirector.repair()).map(describeDifference);
        for (const text of found)
          assert.ok(
            told.some((line) => text.test(line)),
            `${title}: ${told.join('\n')}`,
          );
        assert.deepEqual(await redirector.repair(), [], title);
      }
      assert.equal(kernelState(namespace), sound);
    }));

  test(`${subject.name}: damage to the set of probed pods is told and repaired`, () =>
    within(async (at, namespace) => {
      const redirector = at(HOST);
      await redirector.install();
      for (const { title, command, found } of subject.hostDamages) {
        namespace.run('sh', '-c', command);
        const told = (await redirector.repair()).map(describeDifference);
        assert.equal(told.length, found.length, title);
        for (const text of found) assert.match(told.join('\n'), text);
        assert.deepEqual(await redirector.verify(), [], title);
      }
    }));

  test(`${subject.name}: removal leaves nothing, also where nothing was`, () =>
    within(async (at, namespace) => {
      const before = kernelState(namespace);
      for (const plan of [podPlan(ALL), HOST]) {
        await at(plan).remove();
        assert.equal(kernelState(namespace), before);
        await at(plan).install();
        assert.notEqual(kernelState(namespace), before);
        await at(plan).remove();
        assert.equal(kernelState(namespace), before);
      }
    }));

  test(`${subject.name}: what belongs to others stays as it was`, () =>
    within(async (at, namespace) => {
      namespace.run('sh', '-c', OTHERS);
      const before = kernelState(namespace);
      await at(podPlan(ALL)).install();
      await at(HOST).install();
      assert.deepEqual([...(await at(podPlan(ALL)).verify()), ...(await at(HOST).verify())], []);
      await at(podPlan({ ipv6: false, dnsCapture: false })).remove();
      assert.deepEqual(await at(HOST).verify(), [], 'one plan is removed beside the other');
      await at(HOST).remove();
      assert.equal(kernelState(namespace), before);
    }));

  test(`${subject.name}: a namespace without IPv6 on loopback is redirected without that route`, () =>
    within(async (at, namespace) => {
      namespace.run('sh', '-c', 'echo 1 >/proc/sys/net/ipv6/conf/lo/disable_ipv6');
      await at(podPlan(ALL)).install();
      assert.deepEqual(await at(podPlan(ALL)).verify(), []);
      assert.equal(namespace.run('ip', '-6', '-j', 'route', 'show', 'table', '100').trim(), '[]');
    }));
}

test('a tool that is not installed is told with the package that brings it', () => {
  const tools = new Tools({ directories: [] });
  const missing = (name: string) => ({ code: 'REDIRECT_TOOL_MISSING', hint: new RegExp(`apt-get install ${name}`) });
  assert.throws(() => chooseRedirection({ tools }), missing('util-linux'));
  assert.throws(() => tools.require('ip'), missing('iproute2'));
  assert.throws(() => tools.require('ip6tables-legacy-save'), missing('iptables'));
  assert.throws(() => tools.require('ipset'), missing('ipset'));
});

test('nftables is chosen where both are there', () => {
  assert.equal(chooseRedirection().mechanism, 'nftables');
});

test('a tool that refuses is quoted', async () => {
  const call = { tool: 'nft', args: ['-f', '-'], input: 'add nonsense\n' };
  await assert.rejects(new Tools().run(call), {
    code: 'REDIRECT_TOOL',
    message: /^nft -f - failed with status 1: .*syntax error/s,
  });
});

test('a tool that hangs is ended with what it started', async () => {
  const tools = new Tools({ timeoutMs: 50 });
  const call = { tool: 'sh', args: ['-c', 'sleep 600; true'] };
  await assert.rejects(tools.run(call), { message: /did not end within 50 ms/ });
});

test('a tool that says more than it may is ended', async () => {
  await assert.rejects(new Tools().run({ tool: 'cat', args: ['/dev/zero'] }), { message: /said more than \d+ bytes/ });
});

test('a descriptor that is no network namespace is refused', async () => {
  const fd = openNamespace('/proc/self/ns/mnt');
  const redirector = chooseRedirection().redirector(fd, podPlan(ALL));
  await assert.rejects(redirector.install(), { code: 'REDIRECT_TOOL', hint: /enrol the pod anew/ });
  closeDescriptor(fd);
});

const USE_LEGACY_TABLES = `
for table in raw mangle nat; do
  iptables-legacy -t $table -S >/dev/null
  ip6tables-legacy -t $table -S >/dev/null
done`;

/** Rules, sets, routing rules and routes that look nearly like ours. */
const OTHERS = `
set -e
nft -f - <<END
table inet ambit_pods {
  chain nat_output {
    type nat hook output priority -100
    tcp dport 1 redirect to :15001
  }
}
table ip ambit_pod {
  chain output {
    type filter hook output priority 0
  }
}
END
for tables in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
  $tables -t nat -N AMBIT_POD
  $tables -t nat -A AMBIT_POD -p tcp --dport 1 -j REDIRECT --to-ports 15001
  $tables -t nat -A OUTPUT -j AMBIT_POD
  $tables -t mangle -A PREROUTING -m mark --mark 0x539/0xfff -j ACCEPT
  $tables -t raw -P OUTPUT DROP
  $tables -t raw -A PREROUTING -p udp -j ACCEPT
done
ipset create ambit_host hash:ip
ip rule add pref 32764 fwmark 0x111/0xffff lookup 100
ip rule add pref 32763 fwmark 0x111/0xfff lookup 101
ip route add local 192.0.2.0/24 dev lo table 100
ip -6 route add local 2001:db8::/32 dev lo table 100`;

const STATE_COMMANDS = [
  'nft list ruleset',
  'iptables-nft-save',
  'ip6tables-nft-save',
  'iptables-legacy-save',
  'ip6tables-legacy-save',
  'ipset -sorted save',
  'ip -4 rule',
  'ip -6 rule',
  'ip -4 route show table 100',
  'ip -6 route show table 100',
];

/** Everything that redirection could have touched, without the hour and the seeds of sets. */
function kernelState({ path }: TestNamespace): string {
  const script = STATE_COMMANDS.map((command) => `echo "## ${command}"; ${command} 2>/dev/null`).join('\n');
  const { stdout } = spawnSync('nsenter', [`--net=${path}`, '--', 'sh', '-c', script], { encoding: 'utf8' });
  return stdout.replace(/^# .*\n/gm, '').replace(/ (initval|hashsize) \S+/g, '');
}

/** Without the tables of iptables over nf_tables that were used once and are empty. */
function ourState(namespace: TestNamespace): string {
  const lines = kernelState(namespace).split('\n');
  return lines.filter((line) => /ambit|AMBIT|redirect|0x111|0x539|local/i.test(line)).join('\n');
}
