import type { Operation, Verdict } from '../../host-api/contract.ts';
import { GuestFault } from './abi/fault.ts';
import { Guest } from './abi/guest.ts';
import { layout } from './abi/layout.ts';
import { type CoreValue, loader } from './abi/lift.ts';
import { flatLowerer } from './abi/lower.ts';
import { failure, string } from './abi/type.ts';
import { operation, verdict } from './abi/world.ts';
import { Call } from './call.ts';
import { hostFunctions } from './imports.ts';
import { Instance, type Snapshot } from './instance.ts';
import { link } from './link.ts';
import type { ExportNames } from './names.ts';
import { PolicyHost } from './policy-host.ts';
import { messageOf, type Prepared, prepare } from './prepare.ts';
import {
  type Decision,
  type DecisionInput,
  type Plugin,
  type PluginSource,
  SandboxError,
  type SandboxLimits,
} from './seam.ts';

const INIT_RESULT = failure(string);
const lowerSettings = flatLowerer(string);
const loadInitResult = loader(INIT_RESULT);
const lowerOperation = flatLowerer(operation);
const loadVerdict = loader(verdict);
const INIT_AREA = layout(INIT_RESULT);
const VERDICT_AREA = layout(verdict);

/** A plugin that is a core module in lowered WIT form. */
export class CorePlugin implements Plugin {
  readonly name: string;
  readonly sha256: string;
  readonly kind = 'core';
  readonly #limits: SandboxLimits;
  readonly #settings: string;
  readonly #prepared: Prepared;
  readonly #names: ExportNames;
  readonly #imports: WebAssembly.Imports;
  readonly #guest: Guest;
  readonly #host: PolicyHost;
  #instance: Instance;
  readonly #snapshot: Snapshot;
  /** `used`: a snapshot brings it back, if the memory hasn't grown. `broken`: only a new instance does. */
  #condition: 'clean' | 'used' | 'broken' = 'clean';

  static load(source: PluginSource, sha256: string): CorePlugin {
    return new CorePlugin(source, sha256);
  }

  private constructor(source: PluginSource, sha256: string) {
    this.name = source.name;
    this.sha256 = sha256;
    this.#limits = source.limits;
    this.#settings = source.settings;
    this.#guest = new Guest();
    this.#host = new PolicyHost(this.#guest, source.limits.logBytes);
    this.#prepared = prepare(source);
    const linked = link(source.name, this.#prepared, hostFunctions(this.#guest, this.#host));
    this.#names = linked.names;
    this.#imports = linked.imports;
    this.#instance = this.#instantiate(true);
    this.#snapshot = this.#instance.snapshot();
  }

  decide(input: DecisionInput): Decision {
    const call = new Call(this.#limits.logBytes, input);
    let answer: Verdict | undefined;
    let fault: GuestFault | undefined;
    let entered = false;
    try {
      this.reset();
      this.#condition = 'broken';
      this.#host.call = call;
      this.#guest.begin();
      this.#instance.arm(this.#limits.fuel);
      entered = true;
      answer = this.#decide(input.operation);
      fault = this.#guest.fault;
    } catch (error) {
      fault = this.#classify(error, 'decide');
    }
    this.#host.phase = 'idle';
    if (fault === undefined) this.#condition = 'used';
    return call.decision(this.name, answer, fault, entered ? this.#fuelUsed() : 0n);
  }

  reset(): void {
    if (this.#condition === 'clean') return;
    const restored =
      this.#condition === 'used' && !this.#prepared.replay && this.#instance.restore(this.#snapshot);
    if (!restored) {
      this.#instance = this.#instantiate(this.#prepared.replay);
      const missing = this.#snapshot.memory.length - this.#instance.memory.buffer.byteLength;
      if (missing > 0) this.#instance.memory.grow(missing / 65536);
      if (!this.#instance.restore(this.#snapshot)) throw new Error('the new instance differs from the first');
      this.#guest.refresh();
    }
    this.#condition = 'clean';
  }

  #decide(asked: Operation): Verdict {
    const guest = this.#guest;
    const flat: CoreValue[] = [];
    lowerOperation(guest, flat, 0, asked);
    guest.settle();
    this.#host.phase = 'decide';
    const area = Number(this.#instance.decide(...flat)) >>> 0;
    this.#host.phase = 'post-return';
    guest.refresh();
    guest.check(area, VERDICT_AREA.size, VERDICT_AREA.align, 'the verdict');
    const answer = loadVerdict(guest, area);
    this.#instance.postDecide?.(area);
    return answer;
  }

  /** A new instance, started, and with `init` called. Throws `SandboxError`. */
  #instantiate(withInit: boolean): Instance {
    const guest = this.#guest;
    const host = this.#host;
    host.call = new Call(this.#limits.logBytes);
    guest.begin();
    guest.detach();
    let at = 'start';
    try {
      host.phase = 'start';
      const instance = new Instance(this.#prepared, this.#names, this.#imports);
      guest.attach(instance);
      if (withInit) {
        at = '_initialize';
        instance.arm(this.#limits.fuel);
        instance.initialize?.();
        at = 'init';
        instance.arm(this.#limits.fuel);
        this.#init(instance);
      }
      if (guest.fault !== undefined) throw guest.fault;
      return instance;
    } catch (error) {
      if (error instanceof SandboxError) throw error;
      const { kind, message } = this.#classify(error, at);
      throw new SandboxError('init', `${this.name}: ${kind} in ${at}: ${message}`, undefined, {
        cause: error,
      });
    } finally {
      host.phase = 'idle';
    }
  }

  #init(instance: Instance): void {
    const guest = this.#guest;
    guest.refresh();
    const flat: CoreValue[] = [];
    lowerSettings(guest, flat, 0, this.#settings);
    guest.settle();
    this.#host.phase = 'init';
    const area = Number(instance.init(...flat)) >>> 0;
    this.#host.phase = 'post-return';
    guest.refresh();
    guest.check(area, INIT_AREA.size, INIT_AREA.align, 'the result of init');
    const refused = loadInitResult(guest, area);
    instance.postInit?.(area);
    if (refused !== undefined) {
      throw new SandboxError('init', `${this.name}: refuses its settings: ${refused}`);
    }
  }

  #fuelUsed(): bigint {
    const left = this.#instance.fuelLeft;
    return this.#limits.fuel - (left < 0n ? 0n : left);
  }

  /** What ended a call, from what the engine threw. The host's own note goes first: it was made beyond the guest's reach. */
  #classify(error: unknown, where: string): GuestFault {
    if (this.#guest.fault !== undefined) return this.#guest.fault;
    if (error instanceof WebAssembly.RuntimeError)
      return new GuestFault('trap', `${error.message} in ${where}`);
    if (error instanceof RangeError && error.message.includes('call stack')) {
      return new GuestFault('depth', `stack overflow in ${where}`);
    }
    return new GuestFault('trap', `${messageOf(error)} in ${where}`);
  }
}
