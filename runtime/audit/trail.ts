/** The audit as the way of a request meets it: what happens when a record can't be written is decided here. */
import type { Logger } from 'pino';
import { DeputyError } from '../../host-api/errors.ts';
import type { Attempt } from '../attempt.ts';
import type { AuditLog } from './log.ts';

export type AuditFailurePolicy = 'refuse' | 'continue';

/** Told of every record as it is written, for `Monitor` and metrics. */
export type AuditListener = (record: Readonly<Record<string, unknown>>) => void;

export class AuditTrail {
  readonly #log: AuditLog;
  readonly #onFailure: AuditFailurePolicy;
  readonly #logger: Logger;
  readonly #listeners = new Set<AuditListener>();
  #failing = false;
  /** Records that could not be written, and are not accounted for yet. */
  #lost = 0;

  constructor(log: AuditLog, onFailure: AuditFailurePolicy, logger: Logger) {
    this.#log = log;
    this.#onFailure = onFailure;
    this.#logger = logger;
  }

  /**
   * To be asked before anything is done. After a failed write it looks whether the log can be written again, so that a
   * full disk means a quick refusal and not an effect applied and undone for each request. Throws AuditUnavailable.
   */
  assertWritable(): void {
    if (!this.#failing || this.#onFailure === 'continue') return;
    try {
      this.#log.probe();
      this.#failing = false;
    } catch (error) {
      throw unavailable(error);
    }
  }

  /** Returns the record's number, 0 where the operator lets the daemon go on without. Throws AuditUnavailable. */
  recordGrant(attempt: Attempt): number {
    try {
      return this.#append(attempt);
    } catch (error) {
      if (this.#onFailure === 'refuse') throw unavailable(error);
      this.#logger.warn(attempt.summary, 'granted without an audit record');
      return 0;
    }
  }

  /** For attempts that changed nothing: that they can't be recorded is logged, and the caller's answer stays what it was. */
  recordRefusal(attempt: Attempt): void {
    try {
      this.#append(attempt);
    } catch {
      // Logged by #append.
    }
  }

  /** Events beside the requests: start, stop, restored leases. Never throws. */
  recordEvent(kind: string, detail: Readonly<Record<string, unknown>>): void {
    try {
      this.#write({ kind, ...detail });
    } catch {
      // Logged by #write.
    }
  }

  get head(): { seq: number; hash: string } {
    return this.#log.head;
  }

  get failing(): boolean {
    return this.#failing;
  }

  listen(listener: AuditListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#log.close();
  }

  #append(attempt: Attempt): number {
    const id = this.#write(attempt.record());
    const { summary } = attempt;
    if (attempt.granted || attempt.kind === 'explain') this.#logger.info({ id, ...summary }, attempt.kind);
    else this.#logger.warn({ id, ...summary }, `${attempt.kind} refused`);
    return id;
  }

  #write(record: Readonly<Record<string, unknown>>): number {
    try {
      if (this.#lost > 0) {
        this.#appendTold({ kind: 'lost', records: this.#lost });
        this.#lost = 0;
      }
      const id = this.#appendTold(record);
      this.#failing = false;
      return id;
    } catch (error) {
      this.#failing = true;
      this.#lost++;
      this.#logger.error({ err: error }, 'the audit record cannot be written');
      throw error;
    }
  }

  #appendTold(record: Readonly<Record<string, unknown>>): number {
    const id = this.#log.append(record);
    for (const listener of this.#listeners) listener({ seq: id, ...record });
    return id;
  }
}

function unavailable(error: unknown): DeputyError {
  const reason = error instanceof Error ? error.message : String(error);
  return new DeputyError(
    'AuditUnavailable',
    `the audit log can't be written (${reason}); nothing was changed`,
  );
}
