import type { Guest } from './abi/guest.ts';
import { layout, recordLayout } from './abi/layout.ts';
import { type CoreValue, paramLifter } from './abi/lift.ts';
import { flatLowererOf, storerOf } from './abi/lower.ts';
import { type Func, importSignature } from './abi/signature.ts';
import { kebab } from './abi/type.ts';
import { IMPORTS } from './abi/world.ts';
import type { HostFunction, HostFunctions } from './host-function.ts';
import { importModuleNames } from './names.ts';
import type { PolicyHost } from './policy-host.ts';
import { WASI_MODULE, wasiFunctions } from './wasi-deny.ts';

export function hostFunctions(guest: Guest, host: PolicyHost): HostFunctions {
  const implementations: Record<string, Record<string, (params: never) => unknown>> = host.functions;
  const modules = new Map<string, ReadonlyMap<string, HostFunction>>();
  for (const [iface, funcs] of Object.entries<Record<string, Func>>(IMPORTS)) {
    const fields = new Map<string, HostFunction>();
    for (const [name, func] of Object.entries(funcs)) {
      const implementation = implementations[iface]?.[name] as ((params: object) => unknown) | undefined;
      if (implementation === undefined) throw new TypeError(`${iface}.${name} has no implementation`);
      const path = `${iface}.${kebab(name)}`;
      const enter = (): void => {
        requireMemory(guest, path);
        host.enter(iface, path);
      };
      fields.set(kebab(name), bind(guest, path, func, enter, implementation));
    }
    for (const module of importModuleNames(iface)) modules.set(module, fields);
  }
  const wasi = wasiFunctions(guest, (name) => {
    requireMemory(guest, name);
    host.pay(name);
    return host.call;
  });
  modules.set(WASI_MODULE, wasi);
  return modules;
}

/** Nothing of the guest runs before its memory is attached: this is for the day when something does. */
function requireMemory(guest: Guest, path: string): void {
  if (!guest.attached) guest.fail('abi', `${path} called before the memory is there`);
  guest.refresh();
}

function bind(
  guest: Guest,
  path: string,
  func: Func,
  enter: () => void,
  implementation: (params: object) => unknown,
): HostFunction {
  const signature = importSignature(func);
  const lift = paramLifter(func.params);
  const result = func.result;
  if (result === undefined) {
    return {
      signature,
      call: (...flat) => {
        enter();
        implementation(lift(guest, flat, 0));
        return undefined;
      },
    };
  }
  if (signature.results.length > 0) {
    const lower = flatLowererOf(result);
    return {
      signature,
      call: (...flat) => {
        enter();
        const out: CoreValue[] = [];
        lower(guest, out, 0, implementation(lift(guest, flat, 0)));
        return out[0];
      },
    };
  }
  const { size, align } = layout(result);
  const store = storerOf(result);
  const last = recordLayout(func.params.map((param) => param.of)).whole.flat.length;
  const areaName = `the return area of ${path}`;
  return {
    signature,
    call: (...flat) => {
      enter();
      const area = Number(flat[last]) >>> 0;
      guest.check(area, size, align, areaName);
      store(guest, area, implementation(lift(guest, flat, 0)));
      // Lists and strings of no bytes have been noted, not taken.
      guest.settle();
      return undefined;
    },
  };
}
