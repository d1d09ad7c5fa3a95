import { kebab } from './abi/type.ts';
import { PACKAGE, VERSION } from './abi/world.ts';

/** What a core module calls the parts of the contract. */
export interface ExportNames {
  readonly memory: string;
  readonly realloc: string;
  readonly initialize: string;
  readonly init: string;
  readonly decide: string;
  readonly postInit: string;
  readonly postDecide: string;
}

const HOOKS_ID = `${PACKAGE}/hooks@${VERSION}`;

/** As wit-bindgen emits them before `component new`. */
export const LEGACY_NAMES: ExportNames = {
  memory: 'memory',
  realloc: 'cabi_realloc',
  initialize: '_initialize',
  init: `${HOOKS_ID}#init`,
  decide: `${HOOKS_ID}#decide`,
  postInit: `cabi_post_${HOOKS_ID}#init`,
  postDecide: `cabi_post_${HOOKS_ID}#decide`,
};

/** Canonical versions are cut to what compatibility goes by: the major number from 1.0.0 on. */
const TRACK = VERSION.split('.')[0];

/** The newer mangling, cm32p2 (component-model, design/mvp/BuildTargets.md). */
export const STANDARD_NAMES: ExportNames = {
  memory: 'cm32p2_memory',
  realloc: 'cm32p2_realloc',
  initialize: 'cm32p2_initialize',
  init: `cm32p2|${PACKAGE}/hooks@${TRACK}|init`,
  decide: `cm32p2|${PACKAGE}/hooks@${TRACK}|decide`,
  postInit: `cm32p2|${PACKAGE}/hooks@${TRACK}|init_post`,
  postDecide: `cm32p2|${PACKAGE}/hooks@${TRACK}|decide_post`,
};

/** The module names that a plugin may import an interface by. */
export function importModuleNames(iface: string): readonly string[] {
  return [`${PACKAGE}/${kebab(iface)}@${VERSION}`, `cm32p2|${PACKAGE}/${kebab(iface)}@${TRACK}`];
}
