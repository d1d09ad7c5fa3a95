import * as host from './abi/imports';

/** What this scope already holds by earlier grants. */
export namespace ledger {
  /** Sum of the hard limits granted to living processes, not counting this target's. */
  export function memlockBytes(): u64 {
    return host.ledger_memlock_bytes();
  }

  /** Threads with a granted fifo or rr policy, not counting those addressed. */
  export function realtimeThreads(): u32 {
    return host.ledger_realtime_threads();
  }
}
