/**
 * Makes a module of the contract from a policy. AssemblyScript can't export names such as
 * `deputy:policy/hooks@1.0.0#decide`, nor does it know the canonical ABI. The policy's source stays as it is: a second
 * entry calls its `init` and `decide` with lifted arguments, and only that entry's exports become the module's.
 */
import { Transform } from 'assemblyscript/transform';

const ABI = '@deputy/sdk-as/assembly/abi';
const HOOKS = 'deputy:policy/hooks@1.0.0';
/** What asc names where the policy's `init` or `decide` has another signature. */
const ENTRY_FILE = 'deputy-policy-contract.ts';

/** SourceKind and CommonFlags of the compiler (assemblyscript, src/ast.ts and src/common.ts). */
const USER = 0;
const USER_ENTRY = 1;
const EXPORT = 2;

export default class ContractTransform extends Transform {
  afterParse(parser) {
    // The runtime's own entry is one too.
    const entries = parser.sources.filter(
      (source) => source.sourceKind === USER_ENTRY && !source.internalPath.startsWith('~lib/'),
    );
    const [entry] = entries;
    if (entry === undefined || entries.length > 1) {
      throw new PolicyError(`a policy has one entry file, ${entries.length} were given`);
    }
    const names = exportedNames(entry);
    if (!names.has('decide')) {
      throw new PolicyError(
        `${entry.normalizedPath} must export the function decide(operation: Operation): Verdict (exported: ${[...names].join(', ') || 'nothing'})`,
      );
    }
    entry.sourceKind = USER;
    parser.parseFile(entrySource(entry.internalPath, names.has('init')), ENTRY_FILE, true);
  }

  afterCompile(module) {
    for (const name of ['init', 'decide']) {
      const { value } = this.binaryen.getExportInfo(module.getExport(name));
      module.removeExport(name);
      module.addFunctionExport(value, `${HOOKS}#${name}`);
    }
  }
}

/** asc prints the stack of what a transform throws: a mistake in a policy needs none. */
class PolicyError extends Error {
  constructor(message) {
    super(message);
    this.stack = message;
  }
}

/** Names that a source exports: of its declarations, and in `export { … }` with and without `from`. */
function exportedNames({ statements }) {
  const names = new Set();
  for (const { name, flags, members } of statements) {
    if (name?.text !== undefined && (flags & EXPORT) !== 0) names.add(name.text);
    for (const member of members ?? []) {
      if (member.exportedName !== undefined) names.add(member.exportedName.text);
    }
  }
  return names;
}

function entrySource(policyPath, hasInit) {
  return `
// Named by --use: it must be among the program's files.
import { abort } from '${ABI}/abort';
import { liftOperation, liftSettings, lowerInit, lowerVerdict } from '${ABI}/hooks';
import * as policy from './${policyPath}';
export { cabi_realloc } from '${ABI}/realloc';

export function init(ptr: usize, bytes: u32): usize {
  const settings = liftSettings(ptr, bytes);
  ${hasInit ? 'policy.init(settings);' : ''}
  return lowerInit(settings);
}

export function decide(tag: i32, a: i32, b: u64, c: i32, d: u64, e: i32, f: i32, g: i32, h: i32, i: i32): usize {
  return lowerVerdict(policy.decide(liftOperation(tag, a, b, c, d, e, f, g, h, i)));
}
`;
}
