/** What can go wrong for a client: the daemon refused, or it can't be reached. */
import { ERRORS, type ErrorCode } from '../host-api/errors.ts';

/** The daemon answered with an error. The codes of `io.deputy.Broker` are listed in docs/errors.md. */
export class CallError extends Error {
  override readonly name = 'CallError';
  /** The full name, such as "io.deputy.Broker.Denied". */
  readonly error: string;
  /** The name without its interface, such as "Denied". */
  readonly code: string;
  /** The error's parameters, `message` among them. Integers beyond 2^53 are bigint. */
  readonly parameters: Readonly<Record<string, unknown>>;

  constructor(error: string, parameters: Readonly<Record<string, unknown>>) {
    const { message } = parameters;
    super(typeof message === 'string' ? message : describe(error, parameters));
    this.error = error;
    this.code = error.slice(error.lastIndexOf('.') + 1);
    this.parameters = parameters;
  }

  /** `user`: the caller can mend it. `system`: the operator has to. Undefined for errors of a newer daemon. */
  get class(): 'user' | 'system' | undefined {
    if (this.error.startsWith('org.varlink.service.')) return 'user';
    return Object.hasOwn(ERRORS, this.code) ? ERRORS[this.code as ErrorCode].class : undefined;
  }
}

/** The daemon can't be reached, or the connection broke: whether a call under way took effect is not known. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  /** The system's error code, such as "ECONNREFUSED"; undefined where it was no system call that failed. */
  readonly code: string | undefined;

  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    const code = (cause as NodeJS.ErrnoException | undefined)?.code;
    this.code = typeof code === 'string' ? code : undefined;
  }
}

function describe(error: string, parameters: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(parameters).map(([name, value]) => `${name} ${String(value)}`);
  return parts.length === 0 ? error : `${error} (${parts.join(', ')})`;
}
