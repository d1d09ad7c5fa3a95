/** Takes realtime from threads, without the ledger and without the daemon: both may be starving. */
import { isRealtime } from '../../host-api/contract.ts';
import { isGone } from '../../host-api/kernel/errno.ts';
import { readStat } from '../../host-api/kernel/proc.ts';
import { readAffinity, readScheduling, writeScheduling } from '../../host-api/kernel/sched.ts';
import type { Row } from './shared.ts';

export type Demoted = 'demoted' | 'gone' | 'not-realtime' | 'failed';

export function demote({ pid, tid, startTimeTicks, before }: Row): Demoted {
  try {
    // The tid may have been given to another thread since: that one is not ours to touch.
    if (readStat(tid, pid)?.startTimeTicks !== startTimeTicks) return 'gone';
    if (!isRealtime(readScheduling(tid).policy)) return 'not-realtime';
    writeScheduling(tid, before);
    return isRealtime(readScheduling(tid).policy) ? 'failed' : 'demoted';
  } catch (error) {
    return isGone(error) ? 'gone' : 'failed';
  }
}

/** `none`: it can't be what starves a thread that may use `cpus`. `runnable`: it has one of them, or waits for it. */
export type Suspicion = 'none' | 'asleep' | 'runnable';

/** A virtual CPU that spins on an isolated CPU does what it is for, and is no suspect. */
export function suspicion({ pid, tid, startTimeTicks }: Row, cpus: readonly number[]): Suspicion {
  try {
    const stat = readStat(tid, pid);
    if (stat?.startTimeTicks !== startTimeTicks || !isRealtime(readScheduling(tid).policy)) return 'none';
    if (!readAffinity(tid).some((cpu) => cpus.includes(cpu))) return 'none';
    return stat.state === 'R' ? 'runnable' : 'asleep';
  } catch (error) {
    // What can't be told from the guilty is one of them.
    return isGone(error) ? 'none' : 'runnable';
  }
}
