import type { AuditTrail } from '../audit/trail.ts';
import type { Stream } from '../varlink/service.ts';

/** Records that wait for a slow reader; those beyond are dropped and counted. */
const MAX_WAITING = 1024;
/** A reply without a record: a reader that has gone without a word is noticed by it. */
const HEARTBEAT_MS = 10_000;

/** Audit records as they are written, until `left`. Never holds up the daemon, however slow the reader is. */
export async function* monitor(
  audit: Pick<AuditTrail, 'listen'>,
  left: AbortSignal,
  heartbeatMs = HEARTBEAT_MS,
): Stream {
  const waiting: Readonly<Record<string, unknown>>[] = [];
  let dropped = 0;
  let wake = (): void => {};
  const onAbort = (): void => wake();
  const stopListening = audit.listen((record) => {
    if (waiting.length >= MAX_WAITING) dropped++;
    else waiting.push(record);
    wake();
  });
  left.addEventListener('abort', onAbort);
  const takeDropped = (): number => {
    const missed = dropped;
    dropped = 0;
    return missed;
  };
  try {
    while (!left.aborted) {
      const record = waiting.shift();
      if (record !== undefined) {
        yield { record, dropped: takeDropped() };
        continue;
      }
      const woken = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), heartbeatMs);
        wake = () => {
          clearTimeout(timer);
          resolve(true);
        };
      });
      if (!woken) yield { dropped: takeDropped() };
    }
    return { dropped: takeDropped() };
  } finally {
    stopListening();
    left.removeEventListener('abort', onAbort);
  }
}
