import type { Facts, ThreadSelection } from '../../host-api/contract.ts';
import type { Stage } from '../../host-api/stage.ts';
import type { Account } from './abi/account.ts';
import { COSTS } from './abi/costs.ts';
import type { Host } from './abi/world.ts';
import { Call, type Phase } from './call.ts';

/** The imports of the contract, over whatever call is in progress, and the rules of when they answer. */
export class PolicyHost {
  phase: Phase = 'idle';
  call: Call;
  readonly #account: Account;
  readonly functions: Host;

  constructor(account: Account, logBytes: number) {
    this.#account = account;
    this.call = new Call(logBytes);
    this.functions = this.#implementation();
  }

  /** What every import of WASI does before its own work. */
  pay(path: string): void {
    const account = this.#account;
    // A guest that got past a fault somehow gets no further.
    if (account.fault !== undefined) throw account.fault;
    if (this.phase === 'idle') account.fail('abi', `${path} called outside of any call`);
    account.charge(COSTS.call);
  }

  /** What every import of the contract does before its own work: facts and effects belong to `decide` alone. */
  enter(iface: string, path: string): void {
    this.pay(path);
    if (this.#account.inRealloc) this.#account.fail('abi', `${path} called in cabi_realloc`);
    const phase = this.phase;
    if (phase !== 'decide' && (iface !== 'log' || phase === 'post-return')) {
      this.#account.fail('abi', `${path} called in ${phase}`);
    }
    if (iface !== 'log') this.call.factsRead.add(path);
  }

  /** Facts are those of the snapshot, never the kernel's of now: the audit can replay the decision. */
  #implementation(): Host {
    const facts = (): Facts => this.call.input?.facts ?? this.#account.fail('abi', 'facts outside of decide');
    const stage = (threads: number): Stage => {
      this.#account.charge(COSTS.effect + threads * COSTS.effectThread);
      return this.call.stage ?? this.#account.fail('abi', 'effects outside of decide');
    };
    const count = (threads: ThreadSelection): number =>
      threads.tag === 'only' ? threads.val.length : facts().target.threads.length;
    return {
      subject: {
        uid: () => facts().subject.uid,
        gid: () => facts().subject.gid,
        scope: () => facts().subject.scope,
        scopeName: () => facts().subject.scopeName,
        labels: () => facts().subject.labels,
        label: ({ name }) => facts().subject.labels.find((label) => label.name === name)?.value,
      },
      target: {
        uid: () => facts().target.uid,
        gid: () => facts().target.gid,
        isSubject: () => facts().target.isSubject,
        memlock: () => facts().target.memlock,
        cgroup: () => facts().target.cgroup,
        memoryLimit: () => facts().target.memoryLimit,
        cpus: () => facts().target.cpus,
        wholeProcess: () => facts().target.wholeProcess,
        threads: () => facts().target.threads,
        commUntrusted: () => facts().target.commUntrusted,
      },
      ledger: {
        memlockBytes: () => facts().ledger.memlockBytes,
        realtimeThreads: () => facts().ledger.realtimeThreads,
      },
      effects: {
        setMemlock: ({ softBytes, hardBytes }) => stage(0).setMemlock(softBytes, hardBytes),
        setMemlockUnlimited: () => stage(0).setMemlockUnlimited(),
        moveCgroup: ({ group, threads }) => stage(count(threads)).moveCgroup(group, threads),
        setScheduler: ({ threads, change }) => stage(count(threads)).setScheduler(threads, change),
      },
      log: {
        write: ({ level, message }) => {
          this.call.log.write(level, message);
          return undefined;
        },
      },
    };
  }
}
