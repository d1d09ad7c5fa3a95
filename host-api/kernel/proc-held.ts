/**
 * Files of /proc/PID that are kept open. Each is bound to one process: once that is reaped, reading gives ESRCH, even
 * when the pid has been given to another. That, and not looking the path up again, is the point of holding them.
 */
import { closeSync, openSync } from 'node:fs';
import { type ProcStatus, parseCgroup, parseStatus, readWhole } from './proc.ts';

export class HeldProc {
  readonly #status: number;
  readonly #cgroup: number;

  private constructor(status: number, cgroup: number) {
    this.#status = status;
    this.#cgroup = cgroup;
  }

  /** Throws Node's ENOENT where there is no such process, or /proc hides it (proc(5), hidepid). */
  static open(pid: number): HeldProc {
    const status = openSync(`/proc/${pid}/status`, 'r');
    try {
      return new HeldProc(status, openSync(`/proc/${pid}/cgroup`, 'r'));
    } catch (error) {
      closeSync(status);
      throw error;
    }
  }

  /** As of now; undefined once the process is reaped. */
  status(): ProcStatus | undefined {
    return parseStatus(readWhole(this.#status));
  }

  /** As of now; undefined once the process is reaped, or where it is on no cgroup v2. */
  cgroup(): string | undefined {
    return parseCgroup(readWhole(this.#cgroup));
  }

  close(): void {
    closeSync(this.#status);
    closeSync(this.#cgroup);
  }
}
