import type { Operation, Verdict } from '../../host-api/contract.ts';
import { Guest } from './abi/guest.ts';
import { layout } from './abi/layout.ts';
import { type CoreValue, loader } from './abi/lift.ts';
import { flatLowerer } from './abi/lower.ts';
import { failure, string } from './abi/type.ts';
import { operation, verdict } from './abi/world.ts';
import { GuardedPlugin } from './guarded-plugin.ts';
import type { Snapshot } from './guest-state.ts';
import { hostFunctions } from './imports.ts';
import { Instance } from './instance.ts';
import { link } from './link.ts';
import type { ExportNames } from './names.ts';
import { type Prepared, prepare } from './prepare.ts';
import { type PluginSource, SandboxError } from './seam.ts';

const INIT_RESULT = failure(string);
const lowerSettings = flatLowerer(string);
const loadInitResult = loader(INIT_RESULT);
const lowerOperation = flatLowerer(operation);
const loadVerdict = loader(verdict);
const INIT_AREA = layout(INIT_RESULT);
const VERDICT_AREA = layout(verdict);

/** A plugin that is a core module in lowered WIT form. */
export class CorePlugin extends GuardedPlugin {
  readonly kind = 'core';
  readonly #settings: string;
  readonly #prepared: Prepared;
  readonly #names: ExportNames;
  readonly #imports: WebAssembly.Imports;
  readonly #guest: Guest;
  #instance: Instance;
  /** The last one that was made, while it may not have come to its end yet. */
  #latest: Instance | undefined;
  readonly #snapshot: Snapshot;

  static load(source: PluginSource, sha256: string): CorePlugin {
    return new CorePlugin(source, sha256, new Guest());
  }

  private constructor(source: PluginSource, sha256: string, guest: Guest) {
    super(source.name, sha256, source.limits, guest);
    this.#settings = source.settings;
    this.#guest = guest;
    this.#prepared = prepare(source);
    const linked = link(source.name, this.#prepared, hostFunctions(guest, this.host));
    this.#names = linked.names;
    this.#imports = linked.imports;
    this.#instance = this.#instantiate(true);
    this.#snapshot = this.#instance.state.snapshot();
  }

  protected override arm(): void {
    this.#instance.state.arm(this.limits.fuel);
  }

  protected override run(asked: Operation): Verdict {
    const guest = this.#guest;
    const flat: CoreValue[] = [];
    lowerOperation(guest, flat, 0, asked);
    guest.settle();
    this.host.phase = 'decide';
    const area = Number(this.#instance.decide(...flat)) >>> 0;
    this.host.phase = 'post-return';
    guest.refresh();
    guest.check(area, VERDICT_AREA.size, VERDICT_AREA.align, 'the verdict');
    const answer = loadVerdict(guest, area);
    this.#instance.postDecide?.(area);
    return answer;
  }

  protected override restore(): boolean {
    return !this.#prepared.replay && this.#instance.state.restore(this.#snapshot);
  }

  /**
   * A new instance comes to the same state: `init` is run again only where memory and globals aren't all of it, and
   * then has the same outcome, since it sees nothing but its settings.
   */
  protected override renew(): void {
    const instance = this.#instantiate(this.#prepared.replay);
    instance.state.growTo(this.#snapshot);
    if (!instance.state.restore(this.#snapshot))
      throw new Error('a new instance has more memory than the first');
    this.#instance = instance;
    this.#guest.refresh();
  }

  protected override fuelUsed(): bigint {
    return this.limits.fuel - this.#instance.state.fuelLeft;
  }

  protected override exhausted(): 'fuel' | 'depth' | undefined {
    return this.#latest?.state.exhausted;
  }

  #instantiate(withInit: boolean): Instance {
    const guest = this.#guest;
    guest.detach();
    return this.prepareBy((step) => {
      step('start', 'the start function');
      const instance = new Instance(this.#prepared, this.#names, this.#imports);
      guest.attach(instance);
      this.#latest = instance;
      if (!withInit) return instance;
      instance.state.arm(this.limits.fuel);
      instance.start?.();
      step('start', '_initialize');
      instance.state.arm(this.limits.fuel);
      instance.initialize?.();
      step('init', 'init');
      instance.state.arm(this.limits.fuel);
      this.#init(instance);
      return instance;
    });
  }

  #init(instance: Instance): void {
    const guest = this.#guest;
    guest.refresh();
    const flat: CoreValue[] = [];
    lowerSettings(guest, flat, 0, this.#settings);
    guest.settle();
    const area = Number(instance.init(...flat)) >>> 0;
    this.host.phase = 'post-return';
    guest.refresh();
    guest.check(area, INIT_AREA.size, INIT_AREA.align, 'the result of init');
    const refused = loadInitResult(guest, area);
    instance.postInit?.(area);
    if (refused !== undefined) {
      throw new SandboxError('init', `${this.name}: refuses its settings: ${refused}`);
    }
  }
}
