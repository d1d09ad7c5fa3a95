import {
  type Ceilings,
  type Effect,
  type Facts,
  isRealtime,
  type Refusal,
  type RefusalCode,
  type Scheduling,
  type SchedulingPolicy,
  type ThreadSelection,
} from './contract.ts';
import { bytes, formatBytes, UNLIMITED } from './limit.ts';

/** More effects than any decision needs; a plugin that stages in a loop is stopped here, not by memory. */
const MAX_EFFECTS = 64;

const SETTABLE: ReadonlySet<SchedulingPolicy> = new Set(['other', 'batch', 'idle', 'fifo', 'rr']);

/**
 * Collects the effects of one decision. Each is checked against the manifest's ceilings *at once*, so that a plugin
 * can clamp and try again, and *claims* the fields it sets, so that two effects never fight over one. Pure: it sees
 * the facts and the ceilings and touches nothing. Applying is the daemon's, after `allow`.
 */
export class Stage {
  readonly effects: Effect[] = [];
  readonly refusals: Refusal[] = [];
  readonly #ceilings: Ceilings;
  readonly #groups: ReadonlySet<string>;
  readonly #claims = new Set<string>();
  readonly #tids: ReadonlySet<number>;

  /** `groups` are the names that deputy.toml defines. */
  constructor(facts: Facts, ceilings: Ceilings, groups: ReadonlySet<string>) {
    this.#ceilings = ceilings;
    this.#groups = groups;
    this.#tids = new Set(facts.target.threads.map((thread) => thread.tid));
  }

  setMemlock(softBytes: bigint, hardBytes: bigint): Refusal | undefined {
    const ceiling = this.#ceilings.memlock;
    if (ceiling === undefined) return this.#notPermitted('memlock');
    if (softBytes > hardBytes) {
      return this.#refuse(
        'bad-value',
        `memlock soft ${formatBytes(softBytes)} is over hard ${formatBytes(hardBytes)}`,
      );
    }
    // RLIM_INFINITY is 2^64 - 1: as a number of bytes it would pass for a limit and be none (getrlimit(2)).
    if (hardBytes >= 0xffff_ffff_ffff_ffffn) {
      return this.#refuse(
        'bad-value',
        'memlock 2^64-1 bytes means unlimited; stage set-memlock-unlimited instead',
      );
    }
    if (hardBytes > ceiling.maxBytes) {
      return this.#refuse(
        'ceiling',
        `memlock ${formatBytes(hardBytes)} exceeds the ceiling of ${formatBytes(ceiling.maxBytes)} set by ${this.#ceilings.source.memlock}`,
      );
    }
    return this.#claim(['memlock'], { tag: 'set-memlock', soft: bytes(softBytes), hard: bytes(hardBytes) });
  }

  setMemlockUnlimited(): Refusal | undefined {
    const ceiling = this.#ceilings.memlock;
    if (ceiling === undefined) return this.#notPermitted('memlock');
    if (!ceiling.unlimited) {
      return this.#refuse(
        'ceiling',
        `memlock unlimited exceeds the ceiling of ${formatBytes(ceiling.maxBytes)} set by ${this.#ceilings.source.memlock}`,
      );
    }
    return this.#claim(['memlock'], { tag: 'set-memlock', soft: UNLIMITED, hard: UNLIMITED });
  }

  moveCgroup(group: string, threads: ThreadSelection): Refusal | undefined {
    const ceiling = this.#ceilings.cgroup;
    if (ceiling === undefined) return this.#notPermitted('cgroup');
    if (!this.#groups.has(group)) {
      return this.#refuse('unknown-group', `deputy.toml defines no cgroup group ${quote(group)}`);
    }
    if (!ceiling.groups.includes(group)) {
      return this.#refuse(
        'ceiling',
        `cgroup group ${quote(group)} is not among [${ceiling.groups.join(', ')}] allowed by ${this.#ceilings.source.cgroup}`,
      );
    }
    return (
      this.#checkThreads(threads) ??
      this.#claim(this.#fields('cgroup', threads), { tag: 'move-cgroup', group, threads })
    );
  }

  setScheduler(threads: ThreadSelection, change: Scheduling): Refusal | undefined {
    const ceiling = this.#ceilings.scheduler;
    if (ceiling === undefined) return this.#notPermitted('scheduler');
    const problem = this.#checkScheduling(change, ceiling) ?? this.#checkThreads(threads);
    if (problem !== undefined) return problem;
    const fields = [
      ...(change.policy !== undefined || change.priority !== undefined
        ? this.#fields('policy', threads)
        : []),
      ...(change.nice !== undefined ? this.#fields('nice', threads) : []),
      ...(change.affinity !== undefined ? this.#fields('affinity', threads) : []),
    ];
    return this.#claim(fields, { tag: 'set-scheduler', threads, change });
  }

  #checkScheduling(change: Scheduling, ceiling: NonNullable<Ceilings['scheduler']>): Refusal | undefined {
    const { policy, priority, nice, affinity } = change;
    const source = this.#ceilings.source.scheduler;
    if (policy === undefined && priority === undefined && nice === undefined && affinity === undefined) {
      return this.#refuse('bad-value', 'a scheduler change that changes nothing');
    }
    if (policy === undefined && priority !== undefined) {
      return this.#refuse('bad-value', `priority ${priority} without a policy`);
    }
    if (policy !== undefined) {
      if (!SETTABLE.has(policy)) return this.#refuse('bad-value', `policy ${policy} can't be set`);
      if (!ceiling.policies.includes(policy)) {
        return this.#refuse(
          'ceiling',
          `policy ${policy} is not among [${ceiling.policies.join(', ')}] allowed by ${source}`,
        );
      }
      if (isRealtime(policy)) {
        if (priority === undefined || priority < 1 || priority > 99) {
          return this.#refuse(
            'bad-value',
            `priority ${priority ?? 'none'} for ${policy} is not within 1 to 99`,
          );
        }
        if (priority > ceiling.maxPriority) {
          return this.#refuse(
            'ceiling',
            `priority ${priority} exceeds the ceiling of ${ceiling.maxPriority} set by ${source}`,
          );
        }
      } else if (priority !== undefined && priority !== 0) {
        return this.#refuse('bad-value', `priority ${priority} for ${policy}, which knows none`);
      }
    }
    if (nice !== undefined) {
      if (isRealtime(policy)) {
        return this.#refuse('bad-value', `nice ${nice} has no meaning under ${policy}`);
      }
      if (nice < -20 || nice > 19) return this.#refuse('bad-value', `nice ${nice} is not within -20 to 19`);
      if (nice < ceiling.minNice) {
        return this.#refuse(
          'ceiling',
          `nice ${nice} is below the floor of ${ceiling.minNice} set by ${source}`,
        );
      }
    }
    if (affinity !== undefined) {
      if (affinity.length === 0) return this.#refuse('bad-value', 'an affinity of no CPUs');
      const allowed = ceiling.cpus;
      if (allowed === undefined) return this.#refuse('ceiling', `affinity is not allowed by ${source}`);
      const beyond = allowed === 'any' ? [] : affinity.filter((cpu) => !allowed.includes(cpu));
      if (allowed !== 'any' && beyond.length > 0) {
        return this.#refuse(
          'ceiling',
          `CPUs ${beyond.join(',')} are not among ${allowed.join(',')} allowed by ${source}`,
        );
      }
    }
    return undefined;
  }

  /** A plugin acts on the request's threads and can't name another's: the subject of every forgery in the RFC's thread. */
  #checkThreads(threads: ThreadSelection): Refusal | undefined {
    if (threads.tag === 'addressed') return undefined;
    if (threads.val.length === 0) return this.#refuse('bad-value', 'an effect on no threads');
    const foreign = threads.val.find((tid) => !this.#tids.has(tid));
    if (foreign === undefined) return undefined;
    return this.#refuse('not-addressed', `thread ${foreign} is not among those the request addresses`);
  }

  /** One claim a thread; `addressed` is all of the facts' threads and those still to be born ("*"). */
  #fields(field: string, threads: ThreadSelection): string[] {
    const tids = threads.tag === 'only' ? threads.val : [...this.#tids, '*'];
    return tids.map((tid) => `${field} of thread ${tid}`);
  }

  #claim(fields: readonly string[], effect: Effect): Refusal | undefined {
    const taken = fields.find((field) => this.#claims.has(field));
    if (taken !== undefined) return this.#refuse('claimed', `${taken} is already set by this decision`);
    if (this.effects.length >= MAX_EFFECTS) {
      return this.#refuse('too-many', `more than ${MAX_EFFECTS} effects in one decision`);
    }
    for (const field of fields) this.#claims.add(field);
    this.effects.push(effect);
    return undefined;
  }

  #notPermitted(effect: keyof Ceilings['source']): Refusal {
    return this.#refuse('not-permitted', `${this.#ceilings.source[effect]} grants no ${effect} effect`);
  }

  #refuse(code: RefusalCode, message: string): Refusal {
    const refusal: Refusal = { code, message };
    // A plugin may try ever again; the audit keeps the first few.
    if (this.refusals.length < MAX_EFFECTS) this.refusals.push(refusal);
    return refusal;
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}
