import type { Operation, Verdict } from '../../../host-api/contract.ts';
import { Account } from '../abi/account.ts';
import type { Func } from '../abi/signature.ts';
import { kebab } from '../abi/type.ts';
import { IMPORTS, PACKAGE, VERSION, verdict } from '../abi/world.ts';
import { GuardedPlugin } from '../guarded-plugin.ts';
import type { Snapshot } from '../guest-state.ts';
import type { PolicyHost } from '../policy-host.ts';
import { type Prepared, prepareCore } from '../prepare.ts';
import { type PluginSource, SandboxError } from '../seam.ts';
import { ComponentInstance, type ComponentParts } from './component-instance.ts';
import { type Glue, transpile } from './glue.ts';
import { type ComponentOutline, outline } from './sections.ts';
import { conform, weigh } from './values.ts';
import { WASI_INTERFACES, wasiInterfaces } from './wasi.ts';

const HOOKS = `${PACKAGE}/hooks@${VERSION}`;

/** Fuel of a component: that of all its core instances together. */
class ComponentAccount extends Account {
  instance: ComponentInstance | undefined;

  protected override burn(units: number): boolean {
    // During instantiation there is none yet, and what the host does then is little.
    return this.instance?.burn(units) ?? true;
  }
}

/** A plugin that is a component, run by the code that jco generates for it. Compatibility; core modules are the fast path. */
export class ComponentPlugin extends GuardedPlugin {
  readonly kind = 'component';
  readonly #settings: string;
  readonly #account: ComponentAccount;
  readonly #parts: ComponentParts;
  /** Whether there is state outside of the snapshots: the generated code's handles of WASI resources, tables, segments. */
  readonly #replay: boolean;
  #instance: ComponentInstance;
  readonly #snapshots: readonly Snapshot[];

  static async load(source: PluginSource, sha256: string): Promise<ComponentPlugin> {
    const { name, wasm, limits } = source;
    if (wasm.length > limits.moduleBytes) {
      throw new SandboxError(
        'limit',
        `${name}: the component has ${wasm.length} bytes, the limit is ${limits.moduleBytes}`,
      );
    }
    const outlined = outline(wasm, name);
    checkInterfaces(name, outlined);
    return new ComponentPlugin(
      source,
      sha256,
      outlined,
      await transpile(name, outlined),
      new ComponentAccount(),
    );
  }

  private constructor(
    source: PluginSource,
    sha256: string,
    outlined: ComponentOutline,
    glue: Glue,
    account: ComponentAccount,
  ) {
    super(source.name, sha256, source.limits, account);
    this.#settings = source.settings;
    this.#account = account;
    const coreModules = new Map<string, Prepared>();
    for (const [path, wasm] of glue.coreModules) coreModules.set(path, prepareCore(source, wasm));
    this.#replay =
      outlined.imports.some((name) => name.startsWith('wasi:')) ||
      [...coreModules.values()].some((module) => module.replay);
    this.#parts = {
      instantiate: glue.instantiate,
      coreModules,
      imports: { ...policyInterfaces(account, this.host), ...wasiInterfaces(account, this.host) },
      hooks: HOOKS,
      limits: source.limits,
      account,
      host: this.host,
    };
    this.#instance = this.#instantiate();
    this.#snapshots = this.#instance.snapshot();
  }

  protected override arm(): void {
    this.#instance.arm();
  }

  protected override run(asked: Operation): Verdict {
    this.host.phase = 'decide';
    const answer = this.#instance.decide(asked);
    this.host.phase = 'post-return';
    const checked = conform(verdict, answer, this.#account) as Verdict;
    this.#account.settle();
    return checked;
  }

  protected override restore(): boolean {
    return !this.#replay && this.#instance.restore(this.#snapshots);
  }

  protected override renew(): void {
    const instance = this.#instantiate();
    instance.growTo(this.#snapshots);
    if (!instance.restore(this.#snapshots)) throw new Error('a new instance has more memory than the first');
    this.#instance = instance;
  }

  protected override fuelUsed(): bigint {
    return this.#instance.fuelUsed;
  }

  protected override exhausted(): 'fuel' | 'depth' | undefined {
    return this.#account.instance?.exhausted;
  }

  #instantiate(): ComponentInstance {
    this.#account.instance = undefined;
    return this.prepareBy((step) => {
      step('start', 'the start function');
      const instance = new ComponentInstance(this.#parts);
      this.#account.instance = instance;
      instance.arm();
      step('init', 'init');
      try {
        instance.init(this.#settings);
      } catch (error) {
        // Generated code throws the `err` of a result as an error with a payload.
        if (error instanceof Error && 'payload' in error && typeof error.payload === 'string') {
          throw new SandboxError('init', `${this.name}: refuses its settings: ${error.payload}`);
        }
        throw error;
      }
      return instance;
    });
  }
}

/** Exact names: generated code drops versions, so another version of an interface would be linked like the right one. */
function checkInterfaces(plugin: string, { imports, exports }: ComponentOutline): void {
  const contract = new Set(
    ['types', ...Object.keys(IMPORTS)].map((iface) => `${PACKAGE}/${iface}@${VERSION}`),
  );
  const foreign = imports.find((name) => {
    const wasi = /^(wasi:[a-z/-]+)@0\.2\.\d+$/.exec(name)?.[1];
    return !contract.has(name) && (wasi === undefined || !WASI_INTERFACES.has(wasi));
  });
  if (foreign !== undefined) {
    throw new SandboxError(
      'import',
      `${plugin}: import ${JSON.stringify(foreign)} is not part of what a plugin may import`,
    );
  }
  if (!exports.includes(HOOKS))
    throw new SandboxError('export', `${plugin}: the component exports no "${HOOKS}"`);
}

/** The contract's imports as the generated code calls them: values in, values out, `err` thrown. */
function policyInterfaces(account: Account, host: PolicyHost): ComponentParts['imports'] {
  const implementations: Record<string, Record<string, (params: never) => unknown>> = host.functions;
  const interfaces: Record<string, Record<string, unknown>> = {};
  for (const [iface, funcs] of Object.entries<Record<string, Func>>(IMPORTS)) {
    const fields: Record<string, unknown> = {};
    for (const [name, func] of Object.entries(funcs)) {
      const implementation = implementations[iface]?.[name] as ((params: object) => unknown) | undefined;
      if (implementation === undefined) throw new TypeError(`${iface}.${name} has no implementation`);
      const path = `${iface}.${kebab(name)}`;
      fields[name] = (...args: unknown[]) => {
        host.enter(iface, path);
        const params = Object.fromEntries(
          func.params.map((param, index) => [param.name, conform(param.of, args[index], account)]),
        );
        const result = implementation(params);
        if (func.result !== undefined) weigh(func.result, result, account);
        account.settle();
        if (func.result?.kind === 'failure' && result !== undefined) throw new Refused(result);
        return result;
      };
    }
    interfaces[`${PACKAGE}/${kebab(iface)}`] = fields;
  }
  return interfaces;
}

/** What the generated code makes an `err` of: any error with a payload. */
class Refused extends Error {
  readonly payload: unknown;

  constructor(payload: unknown) {
    super('refused');
    this.payload = payload;
  }
}
