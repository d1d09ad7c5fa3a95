import * as host from './abi/imports';
import { area, takeLimit, takeNumbers, takeString, takeThreads } from './abi/memory';
import { Limit } from './limit';
import { Thread } from './thread';

/** RLIMIT_MEMLOCK of a process (getrlimit(2)). */
export class Memlock {
  constructor(
    readonly soft: Limit,
    readonly hard: Limit,
  ) {}
}

/** The process that the request is about, proven to lie in the subject's scope. Each call asks the host anew. */
export namespace target {
  /** Effective uid of the target process. */
  export function uid(): u32 {
    return host.target_uid();
  }

  export function gid(): u32 {
    return host.target_gid();
  }

  /** Whether the target is the asking process itself. */
  export function isSubject(): bool {
    return host.target_is_subject() != 0;
  }

  export function memlock(): Memlock {
    host.target_memlock(area);
    return new Memlock(takeLimit(area), takeLimit(area + 16));
  }

  export function cgroup(): string {
    host.target_cgroup(area);
    return takeString(area);
  }

  /** The nearest memory.max that is set between the target's cgroup and the root; unlimited where none is. */
  export function memoryLimit(): Limit {
    host.target_memory_limit(area);
    return load<u8>(area) == 0 ? Limit.unlimited() : Limit.of(load<u64>(area, 8));
  }

  /** CPUs that the target's cgroup allows (cpuset.cpus.effective), ascending. */
  export function cpus(): u32[] {
    host.target_cpus(area);
    return takeNumbers(area);
  }

  /** Whether the request addresses the whole process rather than a set of its threads. */
  export function wholeProcess(): bool {
    return host.target_whole_process() != 0;
  }

  /** The addressed threads. */
  export function threads(): Thread[] {
    host.target_threads(area);
    return takeThreads(area);
  }

  /** The process's name. Any process may name itself anything: never an identity. */
  export function commUntrusted(): string {
    host.target_comm_untrusted(area);
    return takeString(area);
  }
}
