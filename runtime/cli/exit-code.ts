/** Exit codes of deputyctl: documented API, for scripts. */
export const EXIT = {
  ok: 0,
  /** The daemon refused, or a check found what it looks for: a denial, a fault in the audit. */
  refused: 1,
  /** The command line, its parameters or a deploy directory is wrong. */
  usage: 2,
  /** No daemon answers. */
  unreachable: 3,
  /** The daemon or this host failed: something for the operator. */
  system: 4,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_CODES_HELP = `Exit codes: 0 done, 1 refused by the daemon or fault found, 2 wrong usage or deploy directory,
3 no daemon answers, 4 system error.`;

/** Ends the command with a message for people. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}
