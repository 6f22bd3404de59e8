import assert from 'node:assert/strict';
import test from 'node:test';
import { checkMessage } from './header-validation.ts';
import type { HeaderList } from './types.ts';

const GET: HeaderList = [':method', 'GET', ':scheme', 'https', ':path', '/', ':authority', 'a'];
const OK: HeaderList = [':status', '200'];

const WELL_FORMED_REQUESTS: [why: string, headers: HeaderList][] = [
  ['the four pseudo-headers', GET],
  ['no authority', GET.slice(0, 6)],
  ['CONNECT', [':method', 'CONNECT', ':authority', 'a:80']],
  ['CONNECT, authority first', [':authority', 'a:80', ':method', 'CONNECT', 'baggage', 'k=v']],
  ['the whole server', [':method', 'OPTIONS', ':scheme', 'http', ':path', '*']],
  ['another scheme has paths of its own', [':method', 'GET', ':scheme', 'urn', ':path', 'a:b']],
  ['te trailers', [...GET, 'te', 'trailers']],
  ['an empty value', [...GET, 'x', '']],
  ['tab, space and latin1 inside a value', [...GET, 'x', 'a\tb c\xe9']],
  ['the same content-length twice', [...GET, 'content-length', '5', 'content-length', '5']],
];

const MALFORMED_REQUESTS: [why: string, headers: HeaderList][] = [
  ['no fields', []],
  ['no method', GET.slice(2)],
  ['no scheme', [':method', 'GET', ':path', '/']],
  ['no path', [':method', 'GET', ':scheme', 'https']],
  ['an empty path', [':method', 'GET', ':scheme', 'https', ':path', '']],
  ['a path without slash', [':method', 'GET', ':scheme', 'https', ':path', 'a']],
  ['* for GET', [':method', 'GET', ':scheme', 'https', ':path', '*']],
  ['a method that is no token', [':method', 'GE T', ':scheme', 'https', ':path', '/']],
  ['a method twice', [':method', 'GET', ...GET]],
  ['a path twice', [...GET, ':path', '/']],
  ['user information', [...GET.slice(0, 6), ':authority', 'me@a']],
  ['an unknown pseudo-header', [...GET, ':x', '1']],
  [':protocol, which is not enabled', [...GET, ':protocol', 'websocket']],
  [':status', [...GET, ':status', '200']],
  ['a pseudo-header after a field', [...GET.slice(0, 6), 'x', 'y', ':authority', 'a']],
  ['CONNECT with a path', [':method', 'CONNECT', ':authority', 'a:80', ':path', '/']],
  ['CONNECT with a scheme', [':method', 'CONNECT', ':authority', 'a:80', ':scheme', 'https']],
  ['CONNECT without authority', [':method', 'CONNECT']],
  ['upper case', [...GET, 'X', 'y']],
  ['an empty name', [...GET, '', 'y']],
  ['a space in a name', [...GET, 'x y', 'z']],
  ['a colon in a name', [...GET, 'x:y', 'z']],
  ['a name beyond ASCII', [...GET, 'x\xe9', 'z']],
  ['a line feed', [...GET, 'x', 'a\nb']],
  ['a carriage return', [...GET, 'x', 'a\rb']],
  ['NUL', [...GET, 'x', 'a\0b']],
  ['another control character', [...GET, 'x', 'a\x1bb']],
  ['DEL', [...GET, 'x', 'a\x7fb']],
  ['a space before a value', [...GET, 'x', ' a']],
  ['a tab after a value', [...GET, 'x', 'a\t']],
  ['a value of one space', [...GET, 'x', ' ']],
  ['a line feed in a path', [':method', 'GET', ':scheme', 'https', ':path', '/\n']],
  ['connection', [...GET, 'connection', 'close']],
  ['proxy-connection', [...GET, 'proxy-connection', 'close']],
  ['keep-alive', [...GET, 'keep-alive', '1']],
  ['transfer-encoding', [...GET, 'transfer-encoding', 'chunked']],
  ['upgrade', [...GET, 'upgrade', 'h2c']],
  ['te gzip', [...GET, 'te', 'gzip']],
  ['a content-length that is no number', [...GET, 'content-length', '5x']],
  ['an empty content-length', [...GET, 'content-length', '']],
  ['a negative content-length', [...GET, 'content-length', '-1']],
  ['two content-lengths in one', [...GET, 'content-length', '5, 5']],
  ['a content-length beyond exact numbers', [...GET, 'content-length', '9'.repeat(16)]],
  ['two content-lengths', [...GET, 'content-length', '5', 'content-length', '6']],
];

test('well-formed requests pass', () => {
  for (const [why, headers] of WELL_FORMED_REQUESTS) assert.notEqual(checkMessage(headers, 'request'), null, why);
});

test('malformed requests do not', () => {
  for (const [why, headers] of MALFORMED_REQUESTS) assert.equal(checkMessage(headers, 'request'), null, why);
});

test('a response has exactly one status of three digits', () => {
  for (const status of ['100', '103', '200', '404', '599', '999']) {
    assert.equal(checkMessage([':status', status], 'response')?.status, Number(status));
  }
  const malformed: HeaderList[] = [
    [],
    [':status', ''],
    [':status', '20'],
    [':status', '2000'],
    [':status', '2x0'],
    [':status', '099'],
    [':status', '101'],
    [...OK, ...OK],
    [...OK, ':path', '/'],
    ['x', 'y', ...OK],
    [...OK, 'connection', 'close'],
  ];
  for (const headers of malformed) assert.equal(checkMessage(headers, 'response'), null, headers.join(' '));
});

test('trailers have no pseudo-headers', () => {
  assert.notEqual(checkMessage(['grpc-status', '0'], 'trailers'), null);
  assert.notEqual(checkMessage([], 'trailers'), null);
  assert.equal(checkMessage(['x', 'y', ...OK], 'trailers'), null);
  assert.equal(checkMessage(OK, 'trailers'), null);
});

test('what the session needs of a message is told', () => {
  assert.deepEqual(checkMessage([...GET, 'content-length', '12'], 'request'), {
    method: 'GET',
    status: 0,
    contentLengthBytes: 12,
  });
  assert.deepEqual(checkMessage(OK, 'response'), { method: '', status: 200, contentLengthBytes: -1 });
});
