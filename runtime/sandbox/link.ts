import type { HostFunctions } from './host-function.ts';
import { type ExportNames, LEGACY_NAMES, STANDARD_NAMES } from './names.ts';
import type { Prepared } from './prepare.ts';
import { SandboxError } from './seam.ts';

/**
 * Checks a module's imports and exports and builds its import object, before anything of it runs.
 * The object and all in it have no prototype: with a plain `{}`, a module that imports "toString" would link.
 */
export function link(
  plugin: string,
  prepared: Prepared,
  host: HostFunctions,
): { readonly imports: WebAssembly.Imports; readonly names: ExportNames } {
  const imports: WebAssembly.Imports = Object.create(null);
  for (const wanted of prepared.imports) {
    const subject = `${plugin}: import "${wanted.module}" "${wanted.name}"`;
    const found = host.get(wanted.module)?.get(wanted.name);
    if (found === undefined) {
      throw new SandboxError('import', `${subject} is not part of what a plugin may import`);
    }
    if (wanted.kind !== 'function')
      throw new SandboxError('import', `${subject} is a ${wanted.kind}, not a function`);
    const fields: Record<string, unknown> = imports[wanted.module] ?? Object.create(null);
    fields[wanted.name] = found.call;
    imports[wanted.module] = fields;
  }
  const exported = new Set(prepared.exports.map((one) => one.name));
  const names =
    exported.has(STANDARD_NAMES.decide) && !exported.has(LEGACY_NAMES.decide) ? STANDARD_NAMES : LEGACY_NAMES;
  return { imports, names };
}
