/** Takes realtime from a thread, without the ledger and without the daemon: both may be starving. */
import { isRealtime } from '../../host-api/contract.ts';
import { isGone } from '../../host-api/kernel/errno.ts';
import { readStat } from '../../host-api/kernel/proc.ts';
import { readScheduling, writeScheduling } from '../../host-api/kernel/sched.ts';
import type { Row } from './shared.ts';

export type Demoted = 'demoted' | 'gone' | 'not-realtime' | 'failed';

export function demote({ pid, tid, startTimeTicks, before }: Row): Demoted {
  try {
    // The tid may have been given to another thread since: that one is not ours to touch.
    if (readStat(tid, pid)?.startTimeTicks !== startTimeTicks) return 'gone';
    if (!isRealtime(readScheduling(tid).policy)) return 'not-realtime';
    writeScheduling(tid, before);
    return 'demoted';
  } catch (error) {
    return isGone(error) ? 'gone' : 'failed';
  }
}
