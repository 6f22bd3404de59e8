/** The command line of first light. */

export interface Options {
  readonly once: boolean;
  readonly help: boolean;
  /** For the test that shows that the claims can fail: meshed, but nothing leads into the mesh. */
  readonly withoutRedirection: boolean;
}

export const HELP = `First light: one call of an unchanged program, without the mesh and with it.

  npm start             shows both calls, stays until Ctrl-C and prints every further call
  npm start -- --once   shows both calls and ends; status 0 when everything held
  npm start -- --help   this text

Two network namespaces are made, joined and meshed, and removed in the end. Nothing else of the machine is touched.
`;

/** Throws with a sentence for the user. */
export function parseOptions(args: readonly string[]): Options {
  const known = ['--once', '--help', '-h', '--without-redirection'];
  const unknown = args.find((arg) => !known.includes(arg));
  if (unknown !== undefined) throw new Error(`unknown argument ${unknown}; --help lists what there is`);
  return {
    once: args.includes('--once'),
    help: args.includes('--help') || args.includes('-h'),
    withoutRedirection: args.includes('--without-redirection'),
  };
}
