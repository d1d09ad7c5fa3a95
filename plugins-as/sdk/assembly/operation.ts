import { Limit } from './limit';
import { Scheduling } from './scheduling';

/** A client asks for both limits of RLIMIT_MEMLOCK of the target. */
export class MemlockRequest {
  constructor(
    readonly soft: Limit,
    readonly hard: Limit,
  ) {}
}

/** A client asks that the addressed threads move to a group. */
export class CgroupRequest {
  constructor(
    /** The name of a group in deputy.toml, never a path. */
    readonly group: string,
  ) {}
}

/** What the client asks: exactly one of the three is not null. */
export class Operation {
  constructor(
    readonly memlock: MemlockRequest | null,
    readonly cgroup: CgroupRequest | null,
    readonly scheduling: Scheduling | null,
  ) {}

  /** "set-memlock", "move-cgroup" or "set-scheduler". */
  get name(): string {
    if (this.memlock !== null) return 'set-memlock';
    return this.cgroup !== null ? 'move-cgroup' : 'set-scheduler';
  }
}
