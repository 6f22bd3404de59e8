/**
 * The one thing to know before any TypeScript can load, so this is plain JavaScript that Node 18 reads: a launcher asks
 * here first. preflight.ts asks again, for a node that reads TypeScript but is still too old.
 */
export const NODE_MAJOR_MIN = 26;

/**
 * One sentence on what to do when this Node is too old, else null.
 * @param {string} version as in `process.versions.node`
 * @returns {string | null}
 */
export function nodeVersionProblem(version) {
  const major = Number.parseInt(version, 10);
  if (major >= NODE_MAJOR_MIN) return null;
  return `Ambit needs Node ${NODE_MAJOR_MIN} or newer and this is Node ${version}, so start it with "npm start" or install Node ${NODE_MAJOR_MIN} from nodejs.org`;
}
