/**
 * Every error that deputy reports, in one table. The names are documented API: on the wire they carry the prefix
 * `io.deputy.Broker.`, in the audit they stand as `error`. `user` means that the caller can mend it, `system` that
 * the operator has to.
 */
export const ERRORS = {
  VersionMismatch: { class: 'user', message: 'The call speaks another version of the interface' },
  InvalidMessage: { class: 'user', message: 'The message is no Varlink call; the connection ends with it' },
  InvalidRequest: { class: 'user', message: 'A parameter is missing, contradictory or out of its range' },
  Denied: { class: 'user', message: 'The policy refuses the request' },
  NoSuchTarget: { class: 'user', message: 'The target process or thread does not exist' },
  TargetNotInScope: { class: 'user', message: 'The target does not lie in the scope of the caller' },
  TargetAmbiguous: { class: 'user', message: 'More than one process in scope has this pid' },
  TargetNotAllowed: {
    class: 'user',
    message: 'A kernel thread, a zombie or a process of another kind is no target',
  },
  PeerGone: { class: 'user', message: 'The process that connected has exited or changed its identity' },
  NoScope: { class: 'user', message: 'The caller lies in no scope: its cgroup is the root or unknown' },
  QuotaExceeded: { class: 'user', message: 'The scope has used up its quota' },
  Busy: { class: 'user', message: 'Too many connections or requests at once; try again later' },
  PluginFault: { class: 'system', message: 'A policy plugin trapped, ran out of fuel or answered badly' },
  EffectFailed: {
    class: 'system',
    message: 'The kernel refused an effect; what was applied has been undone',
  },
  UndoFailed: {
    class: 'system',
    message: 'An effect failed and not all of what was applied could be undone',
  },
  NotSupported: { class: 'system', message: 'This host cannot do the operation' },
  AuditUnavailable: {
    class: 'system',
    message: 'The audit record cannot be written, so nothing privileged is done',
  },
  LedgerUnavailable: {
    class: 'system',
    message: 'The ledger cannot be written, so nothing privileged is done',
  },
  Draining: { class: 'system', message: 'The daemon is being drained and grants nothing new' },
  Internal: { class: 'system', message: 'A bug in deputy; the request had no effect' },
} as const satisfies Record<string, { class: 'user' | 'system'; message: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** What an error is about, for machines. Plain JSON; bytes and other 64-bit numbers are bigint. */
export type ErrorDetail = Readonly<
  Record<string, string | number | bigint | boolean | readonly number[] | undefined>
>;

/** The one error class. `message` names subject, requested and allowed; `detail` has the same for programs. */
export class DeputyError extends Error {
  override readonly name = 'DeputyError';
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.detail = detail;
  }

  get class(): 'user' | 'system' {
    return ERRORS[this.code].class;
  }
}
