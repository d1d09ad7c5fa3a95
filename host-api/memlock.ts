/**
 * RLIMIT_MEMLOCK of the target process (getrlimit(2)).
 *
 * The limits are set as asked, lower too: libvirt lowers them again after a device is unplugged. With `atLeast` a
 * limit that is already as high or higher stays ("already sufficient"), each of the two on its own.
 */
import type { Change, ChangeOf } from './change.ts';
import type { Limit, Memlock } from './contract.ts';
import type { Recorder } from './effect.ts';
import { KernelError } from './kernel/errno.ts';
import { readMemlock, writeMemlock } from './kernel/prlimit.ts';
import { compareLimits } from './limit.ts';
import type { Process, Target } from './target.ts';

export interface MemlockEffect {
  readonly soft: Limit;
  readonly hard: Limit;
  readonly atLeast: boolean;
}

const higher = (a: Limit, b: Limit): Limit => (compareLimits(a, b) >= 0 ? a : b);

function plan({ process }: Target, effect: MemlockEffect): ChangeOf<'memlock'> {
  const before = readMemlock(process);
  const after = effect.atLeast
    ? { soft: higher(before.soft, effect.soft), hard: higher(before.hard, effect.hard) }
    : { soft: effect.soft, hard: effect.hard };
  return { tag: 'memlock', pid: process.pid, startTimeTicks: process.startTimeTicks, before, after };
}

/** What the effect would change; nothing is touched. */
export function planMemlock(target: Target, effect: MemlockEffect): Change[] {
  return [plan(target, effect)];
}

/** Throws a KernelError; nothing is changed then, or it was announced to `recorder`. */
export function applyMemlock(target: Target, effect: MemlockEffect, recorder: Recorder): void {
  const change = plan(target, effect);
  recorder.intend([change]);
  setMemlock(target.process, change.after);
  recorder.done({ ...change, after: readMemlock(target.process) });
}

/** Sets and reads again. A limit that the kernel took otherwise than asked is an error, not a grant. */
export function setMemlock(process: Process, wanted: Memlock): void {
  const before = readMemlock(process);
  if (sameMemlock(before, wanted)) return;
  writeMemlock(process, wanted);
  if (sameMemlock(readMemlock(process), wanted)) return;
  writeMemlock(process, before);
  throw new KernelError(
    'prlimit',
    EAGAIN,
    `pid ${process.pid}, whose memlock is set by another at the same time`,
  );
}

export function sameMemlock(a: Memlock, b: Memlock): boolean {
  return compareLimits(a.soft, b.soft) === 0 && compareLimits(a.hard, b.hard) === 0;
}

const EAGAIN = 11;
