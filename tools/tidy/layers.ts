/** Which package may import which: the picture of ARCHITECTURE.md, held true. */
import type { Finding, Project, Rule, Source } from './project.ts';

const CORE = ['base', 'proto', 'wire', 'model'];
const MECHANISMS = ['net', 'identity', 'xds', 'telemetry'];
const ROLES = ['ztunnel', 'waypoint', 'control', 'agent', 'ui'];

/** What the sources of a package may import, besides itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  base: [],
  proto: [],
  wire: ['base', 'proto'],
  model: ['base', 'proto', 'wire'],
  platform: CORE,
  net: [...CORE, 'platform'],
  identity: CORE,
  xds: CORE,
  telemetry: CORE,
  ztunnel: [...CORE, ...MECHANISMS],
  waypoint: [...CORE, ...MECHANISMS],
  control: [...CORE, ...MECHANISMS],
  agent: [...CORE, ...MECHANISMS, 'platform'],
  ui: ['model'],
  local: [...CORE, ...MECHANISMS, ...ROLES, 'platform'],
  cli: [...CORE, ...MECHANISMS, ...ROLES, 'local'],
};

export const layers: Rule = {
  name: 'imports go down',
  check(project) {
    return project.sources.flatMap((source) => checkSource(project, source));
  },
};

function checkSource(project: Project, source: Source): Finding[] {
  const own = project.workspaces.find(({ directory }) => directory === source.workspace);
  // testkit stands beside the graph, and so do tools, tests, benchmarks and examples.
  if (own === undefined || own.shortName === 'testkit') return [];
  const allowed = allowedFor(own.shortName, source);
  if (allowed === null) {
    return [{ path: source.path, line: 1, message: `package ${own.shortName} has no place in the table of layers` }];
  }
  const findings: Finding[] = [];
  for (const { specifier, line } of source.imports) {
    const other = project.workspaces.find(({ name }) => specifier === name || specifier.startsWith(`${name}/`));
    if (other === undefined || other === own || allowed.includes(other.shortName)) continue;
    const message = `${own.shortName} must not import ${other.shortName}`;
    findings.push({ path: source.path, line, message });
  }
  return findings;
}

/** A role's main.ts composes the process and may hand it the platform; a test may use its package's peers and testkit. */
function allowedFor(shortName: string, source: Source): readonly string[] | null {
  const allowed = ALLOWED[shortName];
  if (allowed === undefined) return null;
  if (source.isTest) {
    const peers = MECHANISMS.includes(shortName) ? [...MECHANISMS, 'platform'] : [];
    return [...allowed, ...peers, 'testkit'];
  }
  const isRoleMain = ROLES.includes(shortName) && shortName !== 'ui' && source.path.endsWith('/src/main.ts');
  return isRoleMain ? [...allowed, 'platform'] : allowed;
}
