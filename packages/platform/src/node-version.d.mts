export const NODE_MAJOR_MIN: number;
export function nodeVersionProblem(version: string): string | null;
