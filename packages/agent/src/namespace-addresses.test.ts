import assert from 'node:assert/strict';
import test from 'node:test';
import { parseAddresses } from './namespace-addresses.ts';

test('addresses of all interfaces are read, those of loopback and of the link are not', () => {
  const json = `[
    {"ifname":"lo","addr_info":[{"family":"inet","local":"127.0.0.1","scope":"host"},
                                {"family":"inet6","local":"::1","scope":"host"}]},
    {},
    {"ifname":"eth0","operstate":"DOWN","addr_info":[
      {"family":"inet","local":"10.0.0.7","prefixlen":24,"scope":"global"},
      {"family":"inet6","local":"FD00:0:0::7","scope":"global"},
      {"family":"inet6","local":"fe80::1","scope":"link"}]},
    {"ifname":"eth1"}]`;
  assert.deepEqual(parseAddresses(json), ['10.0.0.7', 'fd00::7']);
  assert.deepEqual(parseAddresses('[{}]'), []);
});

test('what is no list of links is an error and not a namespace without addresses', () => {
  assert.throws(() => parseAddresses(''), SyntaxError);
});
