/**
 * A process that effects are applied to, and which of its threads. The pair (pid, start time) names a process for as
 * long as the machine runs; the pidfd proves that the pid still means it.
 */
export interface Process {
  /** In the host's pid namespace. */
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot (proc(5)). */
  readonly startTimeTicks: bigint;
  /** An open pidfd (pidfd_open(2)). Owned by whoever resolved the target. */
  readonly pidfd: number;
}

/** The threads a request is about. `all` and `except` take in threads that are born while an effect is applied. */
export type AddressedThreads =
  | { readonly tag: 'all' }
  | { readonly tag: 'only'; readonly tids: readonly number[] }
  | { readonly tag: 'except'; readonly tids: readonly number[] };

export interface Target {
  readonly process: Process;
  readonly addressed: AddressedThreads;
  /** The cgroup path of the scope that the target was proven to lie in, relative to the cgroup v2 mount. */
  readonly scopePath: string;
}
