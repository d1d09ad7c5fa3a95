import * as host from './abi/imports';
import { area, takeString, withString } from './abi/memory';
import { Limit } from './limit';
import { Scheduling } from './scheduling';
import { Verdict, allow, deny } from './verdict';

export enum RefusalCode {
  /** Over a ceiling of this plugin's manifest. */
  Ceiling,
  /** The manifest grants this plugin no such effect. */
  NotPermitted,
  /** Another effect of this decision already sets the field. */
  Claimed,
  /** The value is out of its range. */
  BadValue,
  /** deputy.toml names no such group. */
  UnknownGroup,
  /** The request does not address this thread. */
  NotAddressed,
  /** Too many effects in one decision. */
  TooMany,
}

/** Why an effect was not staged. The message names subject, requested and allowed. */
export class Refusal {
  constructor(
    readonly code: RefusalCode,
    readonly message: string,
  ) {}
}

/** What became of an effect: staged, or refused. */
export class Staged {
  constructor(readonly refusal: Refusal | null) {}

  get ok(): bool {
    return this.refusal === null;
  }

  /** Both: the first refusal of the two stands. */
  and(other: Staged): Staged {
    return this.ok ? other : this;
  }

  /** Allow if it was staged, else deny with the refusal's message. */
  verdict(): Verdict {
    const refusal = this.refusal;
    return refusal === null ? allow() : deny(refusal.message);
  }
}

function staged(): Staged {
  if (load<u8>(area) == 0) return new Staged(null);
  const code = <RefusalCode>load<u8>(area, 4);
  return new Staged(new Refusal(code, takeString(area + 8)));
}

/** Threads as flat values: null means all that the request addresses. */
// @ts-ignore: decorator
@inline function tag(tids: u32[] | null): i32 {
  return tids === null ? 0 : 1;
}

// @ts-ignore: decorator
@inline function start(numbers: u32[] | null): usize {
  return numbers === null ? 0 : numbers.dataStart;
}

// @ts-ignore: decorator
@inline function size(numbers: u32[] | null): i32 {
  return numbers === null ? 0 : numbers.length;
}

/**
 * Staged here, applied by the daemon only after `allow`. Nothing takes effect inside a decision, and each effect is
 * checked at once against the manifest's ceilings, so that a policy can try less.
 */
export namespace effects {
  export function setMemlock(softBytes: u64, hardBytes: u64): Staged {
    host.effects_set_memlock(softBytes, hardBytes, area);
    return staged();
  }

  /** Both limits. A permission of its own in the manifest. */
  export function setMemlockUnlimited(): Staged {
    host.effects_set_memlock_unlimited(area);
    return staged();
  }

  /**
   * Both limits as asked for. The kernel's pair of a finite soft and an unlimited hard limit can't be staged: it
   * becomes unlimited for both.
   */
  export function setMemlockLimits(soft: Limit, hard: Limit): Staged {
    return hard.isUnlimited ? setMemlockUnlimited() : setMemlock(soft.isUnlimited ? u64.MAX_VALUE : soft.bytes, hard.bytes);
  }

  /** `tids`: some of `target.threads()`; null, all that the request addresses, those born meanwhile included. */
  export function moveCgroup(group: string, tids: u32[] | null = null): Staged {
    const text = withString(group);
    host.effects_move_cgroup(changetype<usize>(text), text.byteLength, tag(tids), start(tids), size(tids), area);
    return staged();
  }

  /** `tids` as for `moveCgroup`. */
  export function setScheduler(change: Scheduling, tids: u32[] | null = null): Staged {
    const affinity = change.affinity;
    host.effects_set_scheduler(
      tag(tids),
      start(tids),
      size(tids),
      i32(change.hasPolicy),
      change.policy,
      i32(change.hasPriority),
      change.priority,
      i32(change.hasNice),
      change.nice,
      tag(affinity),
      start(affinity),
      size(affinity),
      area,
    );
    return staged();
  }
}
