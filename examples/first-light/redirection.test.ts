import assert from 'node:assert/strict';
import test from 'node:test';
import { redirectionRules } from './redirection.ts';

test('the rules of a pod are these', () => {
  assert.equal(
    redirectionRules(),
    `table inet ambit {
  chain output {
    type nat hook output priority -100; policy accept;
    meta mark & 0xfff == 0x539 accept
    oifname "lo" ip daddr != 127.0.0.1 accept
    ip daddr 127.0.0.1 accept
    ip6 daddr ::1 accept
    meta l4proto tcp redirect to :15001
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    meta mark & 0xfff == 0x539 accept
    ip daddr 127.0.0.1 accept
    ip6 daddr ::1 accept
    tcp dport 15008 accept
    meta l4proto tcp redirect to :15006
  }
}
`,
  );
});
