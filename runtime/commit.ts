/**
 * Applies what a decision staged, as one transaction: everything, or nothing and a report. Synchronous, so no other
 * request comes in between.
 */
import { applyCgroup, planCgroup } from '../host-api/cgroup.ts';
import { GroupError } from '../host-api/cgroup-group.ts';
import { type Change, keyOf } from '../host-api/change.ts';
import type { Effect } from '../host-api/contract.ts';
import type { EffectContext, Recorder } from '../host-api/effect.ts';
import { DeputyError } from '../host-api/errors.ts';
import { isGone, KernelError } from '../host-api/kernel/errno.ts';
import { applyMemlock, planMemlock } from '../host-api/memlock.ts';
import { type Reverted, revertBorn, revertChange } from '../host-api/revert.ts';
import { applyScheduler, planScheduler } from '../host-api/scheduler.ts';
import type { Target } from '../host-api/target.ts';

/** Where the commit writes down what it is about to do. Each call returns when it is on disk, or throws. */
export interface Journal {
  intent(changes: readonly Change[]): number;
  /** Changes that became known after the intent: threads born while it was carried out. */
  extend(id: number, changes: readonly Change[]): void;
  committed(id: number, changes: readonly Change[]): void;
  /** `left` could not be taken back and stays held. */
  undone(id: number, left: readonly Change[]): void;
}

export interface CommitOptions {
  /** Leave a memlock limit that is already as high (`host-api/memlock.ts`). */
  readonly atLeast: boolean;
}

export interface Committed {
  /** In the order of application; `before` equals `after` where nothing had to be done. */
  readonly changes: readonly Change[];
  readonly vanished: readonly number[];
  /** Makes it last: the ledger holds it from now on. To be called once all that can still fail has been done. */
  confirm(): void;
  /** Takes all of it back, where something after the effects failed, such as the audit record. */
  undo(): readonly Undone[];
}

export interface Undone {
  readonly change: Change;
  readonly outcome: Reverted;
}

/** What the effects would change in the threads that live now. Nothing is touched. */
export function planEffects(
  target: Target,
  effects: readonly Effect[],
  context: EffectContext,
  options: CommitOptions,
): Change[] {
  return effects.flatMap((effect) => {
    switch (effect.tag) {
      case 'set-memlock':
        return planMemlock(target, { ...effect, ...options });
      case 'move-cgroup':
        return planCgroup(target, effect, context);
      case 'set-scheduler':
        return planScheduler(target, effect);
    }
  });
}

/** Throws a DeputyError: EffectFailed where all was undone, UndoFailed where something could not be. */
export function commit(
  target: Target,
  effects: readonly Effect[],
  context: EffectContext,
  journal: Journal,
  options: CommitOptions,
): Committed {
  let planned: Change[];
  try {
    planned = planEffects(target, effects, context, options);
  } catch (error) {
    throw failed(target, undefined, error, []);
  }
  const id = journal.intent(planned);
  const known = new Set(planned.map(keyOf));
  const begun: Change[] = [];
  const done: Change[] = [];
  const vanished = new Set<number>();
  const recorder: Recorder = {
    intend(changes) {
      const fresh = changes.filter((change) => !known.has(keyOf(change)));
      if (fresh.length > 0) journal.extend(id, fresh);
      for (const change of fresh) known.add(keyOf(change));
      begun.push(...changes);
    },
    done: (change) => done.push(change),
    vanished: (tid) => vanished.add(tid),
  };
  const undoAll = (): Undone[] => {
    const undone = undo(begun, context);
    journal.undone(
      id,
      undone.filter(isLeft).map(({ change }) => change),
    );
    return undone;
  };
  for (const effect of effects) {
    try {
      apply(target, effect, context, recorder, options);
    } catch (error) {
      throw failed(target, effect, error, undoAll());
    }
  }
  if (done.length === 0) throw failed(target, undefined, nothingLeft(target), undoAll());
  return {
    changes: done,
    vanished: [...vanished],
    confirm: () => journal.committed(id, done),
    undo: undoAll,
  };
}

function apply(
  target: Target,
  effect: Effect,
  context: EffectContext,
  recorder: Recorder,
  options: CommitOptions,
): void {
  switch (effect.tag) {
    case 'set-memlock':
      return applyMemlock(target, { ...effect, ...options }, recorder);
    case 'move-cgroup':
      return applyCgroup(target, effect, context, recorder);
    case 'set-scheduler':
      return applyScheduler(target, effect, recorder);
  }
}

/** In reverse. A change that was announced and never made is found as it was, which counts as restored. */
function undo(begun: readonly Change[], context: EffectContext): Undone[] {
  const undone = [...begun].reverse().map((change) => ({ change, outcome: revertChange(change, context) }));
  const left = revertBorn(begun, context);
  return [
    ...undone,
    ...left.map(({ change, message }) => ({ change, outcome: { tag: 'failed', message } as const })),
  ];
}

function isLeft({ outcome }: Undone): boolean {
  return outcome.tag === 'failed';
}

const ESRCH = 3;

function nothingLeft(target: Target): KernelError {
  return new KernelError(
    'apply',
    ESRCH,
    `pid ${target.process.pid}, none of whose addressed threads lives any more`,
  );
}

function failed(
  target: Target,
  effect: Effect | undefined,
  error: unknown,
  undone: readonly Undone[],
): DeputyError {
  if (!(error instanceof KernelError || error instanceof GroupError)) throw error;
  const left = undone.filter(isLeft);
  const restored = undone.filter(({ outcome }) => outcome.tag === 'restored').length;
  const what = effect === undefined ? 'the request' : effect.tag;
  const report =
    left.length > 0
      ? `; ${left.length} of ${undone.length} changes could NOT be undone: ${left.map(describeLeft).join('; ')}`
      : undone.length > 0
        ? `; what was begun has been undone (${restored} of ${undone.length} restored, the rest gone or changed by another)`
        : '; nothing was changed';
  const detail = {
    effect: effect?.tag,
    errno: error instanceof KernelError ? error.code : undefined,
    pid: target.process.pid,
    undone: undone.length - left.length,
    notUndone: left.length,
  };
  const code = left.length > 0 ? 'UndoFailed' : isGone(error) ? 'NoSuchTarget' : 'EffectFailed';
  return new DeputyError(code, `${what} failed: ${error.message}${report}`, detail, { cause: error });
}

function describeLeft({ change, outcome }: Undone): string {
  return `${change.tag} of pid ${change.pid}: ${outcome.tag === 'failed' ? outcome.message : outcome.tag}`;
}
