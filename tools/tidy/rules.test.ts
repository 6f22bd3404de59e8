/** Each rule on a small tree that keeps it and on some that break it: a rule that finds nothing would hold nothing. */
import assert from 'node:assert/strict';
import test from 'node:test';
import * as code from './code.ts';
import * as graph from './graph.ts';
import * as imports from './imports.ts';
import { layers } from './layers.ts';
import { loadProject, type Rule } from './project.ts';
import { RULES } from './rules.ts';
import * as sizes from './sizes.ts';
import * as texts from './texts.ts';

type Files = Readonly<Record<string, string>>;

const PACKAGES: Files = {
  'package.json': JSON.stringify({ devDependencies: { 'fast-check': '1' } }),
  'packages/base/package.json': manifest('base', { './ring': './src/ring.ts' }, []),
  'packages/base/src/ring.ts': 'export const ring = 1;',
  'packages/wire/package.json': manifest('wire', { './h2': './src/h2.ts' }, ['@ambit/base']),
  'packages/wire/src/h2.ts': "import { ring } from '@ambit/base/ring';\nexport const h2 = ring;",
  'packages/net/package.json': manifest('net', { './copy': './src/copy.ts' }, ['@ambit/wire', 'koffi']),
  'packages/net/src/copy.ts': "import { h2 } from '@ambit/wire/h2';\nexport const copy = h2;",
  'testkit/package.json': manifest('testkit', { './world': './src/world.ts' }, ['@ambit/net']),
  'testkit/src/world.ts': "import { copy } from '@ambit/net/copy';\nexport const world = copy;",
};

function manifest(name: string, exports: Files, dependencies: readonly string[]): string {
  return JSON.stringify({
    name: `@ambit/${name}`,
    exports,
    dependencies: Object.fromEntries(dependencies.map((each) => [each, '1'])),
  });
}

const lines = (count: number): string => 'x();\n'.repeat(count);
const longFunction = (head: string): string => `${head} {\n${lines(70)}}\n`;
const inBase = (text: string): Files => ({ 'packages/base/src/ring.ts': text });
const inWire = (text: string): Files => ({ 'packages/wire/src/h2.ts': text });
const inNet = (text: string): Files => ({ 'packages/net/src/copy.ts': text });

/** What is put over the small tree; each alone must be found by the rule, or by none of `keeps`. */
const TABLE: { rule: Rule; breaks: Record<string, Files>; keeps: Record<string, Files> }[] = [
  {
    rule: layers,
    breaks: {
      upwards: inWire("import { copy } from '@ambit/net/copy';"),
      'upwards, only a type': inBase("import type { h2 } from '@ambit/wire/h2';"),
      'upwards, later': inBase("const late = await import('@ambit/wire/h2');"),
      'upwards, passed on': inBase("export * from '@ambit/wire/h2';"),
      'upwards, over several lines': inWire("import {\n  copy,\n  type Copy,\n} from '@ambit/net/copy';"),
      'testkit in what ships': inNet("import { world } from '@ambit/testkit/world';"),
      'a package without a place': {
        'packages/new/package.json': manifest('new', {}, []),
        'packages/new/src/main.ts': '',
      },
      'a test that looks up': { 'packages/wire/src/h2.test.ts': "import { copy } from '@ambit/net/copy';" },
    },
    keeps: {
      'testkit in a test': { 'packages/net/src/copy.test.ts': "import { world } from '@ambit/testkit/world';" },
      'testkit in what only a test leads to': {
        'packages/net/src/copy.test.ts': "import './support.ts';",
        'packages/net/src/support.ts': "import { world } from '@ambit/testkit/world';",
      },
      'a comment and a string': inBase("// import '@ambit/wire/h2'\nexport const text = \"import '@ambit/wire/h2'\";"),
    },
  },
  {
    rule: graph.packageCycles,
    breaks: {
      two: inBase("import { h2 } from '@ambit/wire/h2';"),
      three: inBase("import { copy } from '@ambit/net/copy';"),
    },
    keeps: { 'by a test': { 'packages/base/src/ring.test.ts': "import { h2 } from '@ambit/wire/h2';" } },
  },
  {
    rule: graph.fileCycles,
    breaks: {
      two: {
        ...inBase("import { b } from './b.ts';"),
        'packages/base/src/b.ts': "import { ring } from './ring.ts';",
      },
      itself: inBase("import { ring } from './ring.ts';"),
      'across packages': inBase("import { h2 } from '@ambit/wire/h2';"),
    },
    keeps: {
      'of types': {
        ...inBase("import type { B } from './b.ts';"),
        'packages/base/src/b.ts': "import { ring } from './ring.ts';",
      },
    },
  },
  {
    rule: imports.deepImports,
    breaks: {
      'past the exports': inNet("import { h2 } from '@ambit/wire/src/h2.ts';"),
      'not exported': inNet("import { h2 } from '@ambit/wire/h1';"),
      'from a tool': { 'tools/x.ts': "import '@ambit/wire';" },
    },
    keeps: { 'from a tool': { 'tools/x.ts': "import '@ambit/wire/h2';" } },
  },
  {
    rule: imports.relativeImports,
    breaks: {
      'into another package': inNet("import { h2 } from '../../wire/src/h2.ts';"),
      'out of the packages': inNet("import { x } from '../../../tools/x.ts';"),
      'into a package': { 'tools/x.ts': "import { h2 } from '../packages/wire/src/h2.ts';" },
      'of nothing': inNet("import { x } from './x.ts';"),
    },
    keeps: { inside: { ...inNet("import { x } from './x/y.ts';"), 'packages/net/src/x/y.ts': "import '../copy.ts';" } },
  },
  {
    rule: imports.declaredImports,
    breaks: {
      'of a package of ours': inNet("import { ring } from '@ambit/base/ring';"),
      'of another': inWire("import koffi from 'koffi';"),
      'without node:': inNet("import { readFileSync } from 'fs';"),
      'of tools in what ships': inNet("import fc from 'fast-check';"),
    },
    keeps: {
      declared: inNet("import koffi from 'koffi';\nimport 'koffi/deep';\nimport 'node:fs';"),
      'in a test': { 'packages/wire/src/h2.test.ts': "import fc from 'fast-check';" },
    },
  },
  {
    rule: imports.exportsExist,
    breaks: { missing: { 'packages/base/package.json': manifest('base', { './gone': './src/gone.ts' }, []) } },
    keeps: {},
  },
  {
    rule: graph.unusedFiles,
    breaks: {
      alone: { 'packages/base/src/lonely.ts': '' },
      'two that only know each other': {
        'packages/base/src/a.ts': "import './b.ts';",
        'packages/base/src/b.ts': "import './a.ts';",
      },
    },
    keeps: {
      'a test and what it uses': {
        'packages/base/src/a.test.ts': "import './b.ts';",
        'packages/base/src/b.ts': '',
      },
      'a main': { 'packages/base/src/main.ts': '' },
      'started as a process': {
        ...inBase("new URL('./child.ts', import.meta.url);"),
        'packages/base/src/child.ts': '',
      },
    },
  },
  {
    rule: sizes.fileLength,
    breaks: {
      long: inBase(lines(401)),
      'with an empty reason': inBase(`// tidy: yes\n${lines(401)}`),
      'with the reason too late': inBase(`${lines(20)}// tidy: it is a table\n${lines(401)}`),
    },
    keeps: {
      'at the bound': inBase(lines(400)),
      'with a reason': inBase(`/** Owns it.\n * tidy: it is a table */\n${lines(401)}`),
      generated: { 'packages/base/src/x.gen.ts': lines(5000) },
    },
  },
  {
    rule: sizes.functionLength,
    breaks: {
      declared: inBase(longFunction('function f(a: { b: string }): Map<string, { a: number }>')),
      arrow: inBase(longFunction('const f = async <T,>(a: T): Promise<T> =>')),
      'arrow without parentheses': inBase(longFunction('const f = a =>')),
      method: inBase(`class A {\n${longFunction('async #m(a = "(", b = /[(]/): Promise<void>')}}`),
      'in a call': inBase(longFunction("test('x', () =>").replace(/\n$/, ');\n')),
      'in plain JavaScript': { 'scripts/x.mjs': longFunction('function f()') },
    },
    keeps: {
      'at the bound': inBase(`function f() {\n${lines(68)}}\n`),
      'with a reason': inBase(`/** Does it.\n * tidy: one case per frame type */\n${longFunction('function f()')}`),
      'a class, a loop, a table': inBase(`class A {\n${'m() {}\n'.repeat(90)}}\nfor (;;) {\n${lines(80)}}\n`),
      'a describe': inBase(longFunction("describe('x', () =>").replace(/\n$/, ');\n')),
    },
  },
  {
    rule: code.noAny,
    breaks: {
      annotated: inBase('let x: any;'),
      cast: inBase('f(x as any)'),
      'as a parameter of a type': inBase('let x: Map<string, any[]>;'),
    },
    keeps: { 'a word': inBase("// any\nconst anything = 'any'; Promise.any(x); fc.anything();") },
  },
  {
    rule: code.noDefaultExport,
    breaks: { statement: inBase('export default 1;'), 'by a list': inBase('const x = 1; export { x as default };') },
    keeps: { 'with a reason': inBase('// tidy: the framework wants it\nexport default 1;') },
  },
  {
    rule: code.noConsole,
    breaks: { 'in a package': inNet("console.error('x')"), 'of testkit': { 'testkit/src/world.ts': 'console.log(1)' } },
    keeps: {
      'in a command': { 'packages/cli/src/main.ts': 'console.log(1)', 'tools/x.ts': 'console.log(1)' },
      'a word': inNet("// console.log\nthis.console.show('console.log');"),
    },
  },
  {
    rule: code.purePackages,
    breaks: {
      'a module of node': inWire("import { Buffer } from 'node:buffer';"),
      time: inWire('const t = Date.now();'),
      'time as a date': inWire('const t = new Date();'),
      chance: inWire('const r = Math.random();'),
      environment: inWire('const e = process.env;'),
      'a timer': inWire('setTimeout(f, 1);'),
    },
    keeps: {
      'a given time': inWire('const t = new Date(atMs);'),
      'in a test': { 'packages/wire/src/h2.test.ts': "import test from 'node:test'; Date.now();" },
    },
  },
  {
    rule: code.noHiddenTime,
    breaks: {
      wall: { 'packages/xds/src/index.ts': 'const t = Date.now();' },
      monotonic: { 'packages/xds/src/index.ts': 'const t = performance.now();' },
      chance: { 'packages/xds/src/index.ts': 'retry(Math.random() * 100);' },
    },
    keeps: {
      'in a main': { 'packages/xds/src/main.ts': 'Date.now()' },
      'in net and base': { ...inNet('Date.now()'), ...inBase('Date.now()') },
      'with a reason': { 'packages/xds/src/index.ts': '// tidy: a certificate needs dates\nDate.now();' },
    },
  },
  {
    rule: code.todoWithReason,
    breaks: { bare: inBase('// TODO'), short: inBase('/* TODO: later */'), other: inBase('// FIXME this') },
    keeps: { said: inBase('// TODO: count them when the metrics exist'), 'in code': inBase("const x = 'TODO';") },
  },
  {
    rule: texts.shortDecisions,
    breaks: { long: { 'docs/decisions/0001-x.md': lines(61) } },
    keeps: { short: { 'docs/decisions/0001-x.md': lines(60) }, 'another page': { 'docs/guide.md': lines(99) } },
  },
  {
    rule: texts.noHomePaths,
    breaks: Object.fromEntries(
      ['root', 'home/me', 'Users/me'].map((home) => [home, { 'docs/x.md': `see /${home}/ambit/x` }]),
    ),
    keeps: { 'a part of a path': { 'docs/x.md': 'see https://x.org/home/me/x and src/root/x and /home' } },
  },
  {
    rule: texts.linksResolve,
    breaks: {
      'from the root': { 'README.md': 'see [this](docs/gone.md)' },
      'from a folder': { 'docs/x.md': 'see [this](README.md)' },
    },
    keeps: {
      there: {
        'README.md': '[a](docs/x.md#b) [c](#d) [e](https://x.org) [f](docs/) `[g](h)`',
        'docs/x.md': '[u](../README.md)',
      },
    },
  },
];

function findingsOf(rule: Rule, files: Files): string[] {
  const tree = new Map(Object.entries({ ...PACKAGES, ...files }));
  return rule.check(loadProject(tree)).map(({ path, message }) => `${path}: ${message}`);
}

test('every rule is in this table', () => {
  assert.deepEqual(RULES.map(({ name }) => name).toSorted(), TABLE.map(({ rule }) => rule.name).toSorted());
});

for (const { rule, breaks, keeps } of TABLE) {
  test(`it is found where it is broken, and only there: ${rule.name}`, () => {
    assert.deepEqual(findingsOf(rule, {}), []);
    for (const [name, files] of Object.entries(breaks)) assert.notEqual(findingsOf(rule, files).length, 0, name);
    for (const [name, files] of Object.entries(keeps)) assert.deepEqual(findingsOf(rule, files), [], name);
  });
}
