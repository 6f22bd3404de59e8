import assert from 'node:assert/strict';
import test from 'node:test';
import { nearestWord } from './nearest-word.ts';

const KNOWN = ['protocol', 'network', 'networkMode', 'node'];

test('the nearest of the known words is found, and none that is far', () => {
  const cases: [string, string | null][] = [
    ['protocl', 'protocol'],
    ['portocol', 'protocol'],
    ['protokol', 'protocol'],
    ['networkmode', 'networkMode'],
    ['netwrok', 'network'],
    ['nodes', 'node'],
    ['nod', 'node'],
    ['colour', null],
    ['x', null],
    ['', null],
  ];
  for (const [given, expected] of cases) assert.equal(nearestWord(given, KNOWN), expected, given);
});

test('of two that are as near the first is taken', () => {
  assert.equal(nearestWord('abx', ['aby', 'abz']), 'aby');
});
