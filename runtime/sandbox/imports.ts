import type { Facts } from '../../host-api/contract.ts';
import { Stage } from '../../host-api/stage.ts';
import { COSTS } from './abi/costs.ts';
import type { Guest } from './abi/guest.ts';
import { layout, recordLayout } from './abi/layout.ts';
import { type CoreValue, paramLifter } from './abi/lift.ts';
import { flatLowererOf, storerOf } from './abi/lower.ts';
import { type Func, importSignature, type Signature } from './abi/signature.ts';
import { kebab } from './abi/type.ts';
import { type Host, IMPORTS } from './abi/world.ts';
import { LineBuffer } from './line-buffer.ts';
import { LogSink } from './log-sink.ts';
import { importModuleNames } from './names.ts';
import type { DecisionInput, LogLine } from './seam.ts';
import { WASI_MODULE, type WasiOutput, wasiFunctions } from './wasi-deny.ts';

/** What the plugin is doing. It decides which imports answer. */
export type Phase = 'idle' | 'start' | 'init' | 'decide' | 'post-return';

/** What one call of the plugin sees and leaves behind. */
export class CallState implements WasiOutput {
  readonly factsRead = new Set<string>();
  readonly log: LogSink;
  random = 0;
  #stdout: LineBuffer | undefined;
  #stderr: LineBuffer | undefined;
  readonly input: DecisionInput | undefined;
  readonly stage: Stage | undefined;

  constructor(logBytes: number, input?: DecisionInput) {
    this.log = new LogSink(logBytes);
    this.input = input;
    this.stage = input && new Stage(input.facts, input.ceilings, input.groups);
  }

  write(fd: 1 | 2, bytes: Uint8Array): void {
    if (fd === 1) this.#stdout ??= new LineBuffer(this.log, 'info');
    else this.#stderr ??= new LineBuffer(this.log, 'warn');
    (fd === 1 ? this.#stdout : this.#stderr)?.write(bytes);
  }

  logLines(): readonly LogLine[] {
    this.#stdout?.flush();
    this.#stderr?.flush();
    return this.log.lines();
  }
}

export interface HostFunction {
  readonly signature: Signature;
  readonly call: (...flat: CoreValue[]) => CoreValue | undefined;
}

/** Core module name → field name → function. */
export type HostFunctions = ReadonlyMap<string, ReadonlyMap<string, HostFunction>>;

/** The imports of the contract, over whatever call is in progress. */
export class PolicyHost {
  phase: Phase = 'idle';
  state: CallState;
  readonly #guest: Guest;

  constructor(guest: Guest, logBytes: number) {
    this.#guest = guest;
    this.state = new CallState(logBytes);
  }

  functions(): HostFunctions {
    const host: Record<string, Record<string, (params: never) => unknown>> = this.#implementation();
    const modules = new Map<string, ReadonlyMap<string, HostFunction>>();
    for (const [iface, funcs] of Object.entries<Record<string, Func>>(IMPORTS)) {
      const fields = new Map<string, HostFunction>();
      for (const [name, func] of Object.entries(funcs)) {
        const implementation = host[iface]?.[name];
        if (implementation === undefined) throw new TypeError(`${iface}.${name} has no implementation`);
        fields.set(kebab(name), this.#bind(iface, `${iface}.${kebab(name)}`, func, implementation));
      }
      for (const module of importModuleNames(iface)) modules.set(module, fields);
    }
    const wasi = wasiFunctions(this.#guest, (name) => {
      this.#pay(name);
      return this.state;
    });
    modules.set(WASI_MODULE, wasi);
    return modules;
  }

  /** Facts are those of the snapshot, never the kernel's of now: the audit can replay the decision. */
  #implementation(): Host {
    const facts = (): Facts => this.#input().facts;
    const stage = (threads: number): Stage => {
      this.#guest.charge(COSTS.effect + threads * COSTS.effectThread);
      return this.state.stage ?? this.#guest.fail('abi', 'effects outside of decide');
    };
    const addressed = (selection: { tag: string; val?: readonly number[] }): number =>
      selection.val?.length ?? facts().target.threads.length;
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
        moveCgroup: ({ group, threads }) => stage(addressed(threads)).moveCgroup(group, threads),
        setScheduler: ({ threads, change }) => stage(addressed(threads)).setScheduler(threads, change),
      },
      log: {
        write: ({ level, message }) => {
          this.state.log.write(level, message);
          return undefined;
        },
      },
    };
  }

  #input(): DecisionInput {
    return this.state.input ?? this.#guest.fail('abi', 'facts outside of decide');
  }

  /** What every import does before its own work. */
  #pay(path: string): void {
    const guest = this.#guest;
    // A guest that got past a fault somehow gets no further.
    if (guest.fault !== undefined) throw guest.fault;
    if (!guest.attached)
      guest.fail('abi', `${path} called in the start function, before the memory is there`);
    guest.refresh();
    guest.charge(COSTS.call);
  }

  /** What every import of the contract does before its own work. */
  #enter(iface: string, path: string): void {
    const guest = this.#guest;
    this.#pay(path);
    if (guest.inRealloc) guest.fail('abi', `${path} called in cabi_realloc`);
    const phase = this.phase;
    if (phase !== 'decide' && (iface !== 'log' || phase === 'post-return' || phase === 'idle')) {
      guest.fail('abi', `${path} called ${phase === 'idle' ? 'outside of any call' : `in ${phase}`}`);
    }
    if (iface !== 'log') this.state.factsRead.add(path);
  }

  #bind(iface: string, path: string, func: Func, implementation: (params: never) => unknown): HostFunction {
    const guest = this.#guest;
    const signature = importSignature(func);
    const lift = paramLifter(func.params);
    const call = implementation as (params: object) => unknown;
    const result = func.result;
    if (result === undefined) {
      return {
        signature,
        call: (...flat) => {
          this.#enter(iface, path);
          call(lift(guest, flat, 0));
          return undefined;
        },
      };
    }
    if (signature.results.length > 0) {
      const lower = flatLowererOf(result);
      return {
        signature,
        call: (...flat) => {
          this.#enter(iface, path);
          const out: CoreValue[] = [];
          lower(guest, out, 0, call(lift(guest, flat, 0)));
          return out[0];
        },
      };
    }
    const { size, align } = layout(result);
    const store = storerOf(result);
    const last = recordLayout(func.params.map((param) => param.of)).whole.flat.length;
    return {
      signature,
      call: (...flat) => {
        this.#enter(iface, path);
        const area = Number(flat[last]) >>> 0;
        guest.check(area, size, align, `the return area of ${path}`);
        store(guest, area, call(lift(guest, flat, 0)));
        // Lists and strings of no bytes have been noted, not taken.
        guest.settle();
        return undefined;
      },
    };
  }
}
