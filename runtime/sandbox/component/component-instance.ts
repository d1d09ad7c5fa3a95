import type { Account } from '../abi/account.ts';
import { GuestState, type Snapshot } from '../guest-state.ts';
import type { PolicyHost } from '../policy-host.ts';
import type { Prepared } from '../prepare.ts';
import { SandboxError, type SandboxLimits } from '../seam.ts';
import type { Instantiate } from './glue.ts';

type Hook = (argument: unknown) => unknown;
type Interfaces = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** What a component instance is made of and reports to. */
export interface ComponentParts {
  readonly instantiate: Instantiate;
  readonly coreModules: ReadonlyMap<string, Prepared>;
  readonly imports: Interfaces;
  /** The name of the exported interface. */
  readonly hooks: string;
  readonly limits: SandboxLimits;
  readonly account: Account;
  readonly host: PolicyHost;
}

/**
 * One instantiation of a component: several core instances, each with a counter of its own that starts at the full
 * measure. Together they may use as much as one: the sum is checked at every call of the host and at the end, so that
 * a component ends within the fuel times the number of its core modules, and counts as exhausted beyond the fuel.
 */
export class ComponentInstance {
  readonly init: Hook;
  readonly decide: Hook;
  readonly #states: GuestState[] = [];
  readonly #limits: SandboxLimits;
  #hostUsed = 0n;

  /** Runs start functions. May throw anything. */
  constructor(parts: ComponentParts) {
    this.#limits = parts.limits;
    const exported = parts.instantiate(
      (path) => {
        const module = parts.coreModules.get(path);
        if (module === undefined) throw new SandboxError('invalid', `no core module ${path}`);
        return module;
      },
      parts.imports,
      (module, imports) => ({ exports: this.#core(parts, module as Prepared, imports ?? {}) }),
    );
    const hooks = exported[parts.hooks] as Readonly<Record<string, unknown>> | undefined;
    const { init, decide } = hooks ?? {};
    if (typeof init !== 'function' || typeof decide !== 'function') {
      throw new SandboxError('export', `the component exports no ${parts.hooks}`);
    }
    this.init = init as Hook;
    this.decide = decide as Hook;
  }

  arm(): void {
    this.#hostUsed = 0n;
    for (const state of this.#states) state.arm(this.#limits.fuel);
  }

  get fuelUsed(): bigint {
    let used = this.#hostUsed;
    for (const state of this.#states) used += this.#limits.fuel - state.fuelLeft;
    return used > this.#limits.fuel ? this.#limits.fuel : used;
  }

  get exhausted(): 'fuel' | 'depth' | undefined {
    if (this.fuelUsed >= this.#limits.fuel) return 'fuel';
    return this.#states.map((state) => state.exhausted).find((kind) => kind !== undefined);
  }

  burn(units: number): boolean {
    this.#hostUsed += BigInt(units);
    if (this.fuelUsed < this.#limits.fuel) return true;
    // Generated code may catch what the host throws; without fuel the guest ends all the same.
    for (const state of this.#states) state.fuelLeft = 0n;
    return false;
  }

  snapshot(): readonly Snapshot[] {
    return this.#states.map((state) => state.snapshot());
  }

  restore(snapshots: readonly Snapshot[]): boolean {
    return this.#states.every((state, index) => {
      const snapshot = snapshots[index];
      return snapshot !== undefined && state.restore(snapshot);
    });
  }

  growTo(snapshots: readonly Snapshot[]): void {
    this.#states.forEach((state, index) => {
      const snapshot = snapshots[index];
      if (snapshot !== undefined) state.growTo(snapshot);
    });
  }

  #core(parts: ComponentParts, module: Prepared, given: Interfaces): WebAssembly.Exports {
    const imports: WebAssembly.Imports = Object.create(null);
    for (const wanted of module.imports) {
      const from = Object.hasOwn(given, wanted.module) ? given[wanted.module] : undefined;
      if (from === undefined || !Object.hasOwn(from, wanted.name)) {
        throw new SandboxError(
          'import',
          `a core module imports "${wanted.module}" "${wanted.name}" from nowhere`,
        );
      }
      const fields: Record<string, unknown> = imports[wanted.module] ?? Object.create(null);
      fields[wanted.name] = from[wanted.name];
      imports[wanted.module] = fields;
    }
    const { exports } = new WebAssembly.Instance(module.module, imports);
    const visible: Record<string, WebAssembly.ExportValue> = Object.create(null);
    for (const [name, value] of Object.entries(exports)) {
      if (module.reserved.has(name)) continue;
      visible[name] = typeof value === 'function' ? this.#watched(parts, name, value) : value;
    }
    const state = new GuestState(module, exports);
    state.arm(this.#limits.fuel);
    this.#states.push(state);
    const start = module.start === undefined ? undefined : exports[module.start];
    if (typeof start === 'function') start();
    return visible;
  }

  /**
   * The generated code calls these on the host's behalf and lets the guest call imports meanwhile, against the
   * canonical ABI. By their names they are told apart here; another name gives a plugin nothing that `decide` hasn't.
   */
  #watched(
    parts: ComponentParts,
    name: string,
    func: WebAssembly.ExportFunction,
  ): WebAssembly.ExportFunction {
    const { account, host } = parts;
    if (/^(cabi_|cm32p2_)(\w+_)?realloc$/.test(name)) {
      return (...args) => {
        const outer = account.inRealloc;
        account.inRealloc = true;
        const block = func(...args);
        account.inRealloc = outer;
        return block;
      };
    }
    if (name.startsWith('cabi_post_') || /^cm32p2\|.*_post$/.test(name)) {
      return (...args) => {
        const outer = host.phase;
        host.phase = 'post-return';
        const result = func(...args);
        host.phase = outer;
        return result;
      };
    }
    return func;
  }
}
