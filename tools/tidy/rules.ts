/** All rules, in the order in which a reader wants to know of them. */
import { noAny, noConsole, noDefaultExport, noHiddenTime, purePackages, todoWithReason } from './code.ts';
import { fileCycles, packageCycles, unusedFiles } from './graph.ts';
import { declaredImports, deepImports, exportsExist, relativeImports } from './imports.ts';
import { layers } from './layers.ts';
import type { Rule } from './project.ts';
import { fileLength, functionLength } from './sizes.ts';
import { linksResolve, noHomePaths, shortDecisions } from './texts.ts';

export const RULES: readonly Rule[] = [
  layers,
  packageCycles,
  fileCycles,
  deepImports,
  relativeImports,
  declaredImports,
  exportsExist,
  unusedFiles,
  fileLength,
  functionLength,
  noAny,
  noDefaultExport,
  noConsole,
  purePackages,
  noHiddenTime,
  todoWithReason,
  shortDecisions,
  noHomePaths,
  linksResolve,
];
