/** sched(7). `Deadline` and `Ext` occur in facts; no effect can set them. */
export enum SchedulingPolicy {
  Other,
  Batch,
  Idle,
  Fifo,
  Rr,
  Deadline,
  Ext,
}

const NAMES: string[] = ['other', 'batch', 'idle', 'fifo', 'rr', 'deadline', 'ext'];

/** As manifests and messages write it: "fifo". */
export function policyName(policy: SchedulingPolicy): string {
  return NAMES[policy];
}

/** What a thread's scheduling should become. What has not been set stays as it is. */
export class Scheduling {
  private setsPolicy: bool = false;
  private setsPriority: bool = false;
  private setsNice: bool = false;
  private policyValue: SchedulingPolicy = SchedulingPolicy.Other;
  private priorityValue: u32 = 0;
  private niceValue: i32 = 0;

  /** CPU numbers, ascending, or null: unchanged. */
  affinity: u32[] | null = null;

  static fifo(priority: u32): Scheduling {
    const change = new Scheduling();
    change.policy = SchedulingPolicy.Fifo;
    change.priority = priority;
    return change;
  }

  static pinnedTo(cpus: u32[]): Scheduling {
    const change = new Scheduling();
    change.affinity = cpus;
    return change;
  }

  get hasPolicy(): bool {
    return this.setsPolicy;
  }

  /** `Other` where it is not to change: ask `hasPolicy`. */
  get policy(): SchedulingPolicy {
    return this.policyValue;
  }

  set policy(policy: SchedulingPolicy) {
    this.setsPolicy = true;
    this.policyValue = policy;
  }

  get hasPriority(): bool {
    return this.setsPriority;
  }

  /** 1 to 99 for fifo and rr, else 0. */
  get priority(): u32 {
    return this.priorityValue;
  }

  set priority(priority: u32) {
    this.setsPriority = true;
    this.priorityValue = priority;
  }

  get hasNice(): bool {
    return this.setsNice;
  }

  /** -20 to 19, 0 where it is not to change: ask `hasNice`. */
  get nice(): i32 {
    return this.niceValue;
  }

  set nice(nice: i32) {
    this.setsNice = true;
    this.niceValue = nice;
  }

  /** Whether it asks for a policy that runs ahead of every normal thread: fifo or rr. */
  get isRealtime(): bool {
    return (
      this.setsPolicy &&
      (this.policyValue == SchedulingPolicy.Fifo || this.policyValue == SchedulingPolicy.Rr)
    );
  }

  toString(): string {
    const parts: string[] = [];
    if (this.setsPolicy) parts.push(policyName(this.policyValue));
    if (this.setsPriority) parts.push(`priority ${this.priorityValue}`);
    if (this.setsNice) parts.push(`nice ${this.niceValue}`);
    const affinity = this.affinity;
    if (affinity !== null) parts.push(`CPUs ${affinity.join(',')}`);
    return parts.length == 0 ? 'nothing' : parts.join(', ');
  }
}
