/** One thing wrong with a deploy directory. Line and column count from 1. */
export interface Problem {
  /** Path as given, such as "/etc/deputy/plugins/libvirt.toml". */
  readonly file: string;
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** What is wrong: subject, found, allowed. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string;
}

export function formatProblem(problem: Problem): string {
  const line = problem.line === undefined ? '' : `:${problem.line}`;
  const column = problem.line === undefined || problem.column === undefined ? '' : `:${problem.column}`;
  return `${problem.file}${line}${column}: ${problem.message}\n    remedy: ${problem.remedy}`;
}

/** The deploy directory can't be used. Carries every problem, so that one look mends all. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}
