/**
 * The instructions that a plugin may use, WebAssembly 2.0
 * (https://webassembly.github.io/spec/core/appendix/index-instructions.html): what follows each in the binary, what it
 * costs, and how many operands it takes and leaves. What isn't here is refused.
 */
import type { CostClass } from '../meter/costs.ts';

export const FEATURES = [
  'mvp',
  'sign-extension',
  'saturating-float-to-int',
  'multi-value',
  'mutable-globals',
  'bulk-memory',
  'reference-types',
  'simd',
] as const;
export type Feature = (typeof FEATURES)[number];

/** What follows an opcode. */
export const IMMEDIATES = [
  'refused',
  'none',
  'block type',
  'label',
  'labels',
  'function',
  'type and table',
  'index',
  'two indices',
  'memory',
  'data and memory',
  'two memories',
  'memarg',
  'memarg and lane',
  'lane',
  'i32',
  'i64',
  '4 bytes',
  '8 bytes',
  '16 bytes',
  'value types',
  'reference type',
] as const;
export type Immediate = (typeof IMMEDIATES)[number];

/** Opcodes behind a prefix byte follow those of one byte in the tables. */
export const MISC = 0x100;
export const VECTOR = 0x200;
const SIZE = 0x300;

type Row = readonly [
  from: number,
  to: number,
  immediate: Immediate,
  cost: CostClass,
  takes: number,
  leaves: number,
  feature?: Feature,
];

const V = 'simd';
const B = 'bulk-memory';
const R = 'reference-types';
const ROWS: readonly Row[] = [
  [0x00, 0x00, 'none', 'structure', 0, 0], // unreachable
  [0x01, 0x01, 'none', 'structure', 0, 0], // nop
  [0x02, 0x02, 'block type', 'structure', 0, 0], // block
  [0x03, 0x03, 'block type', 'branch', 0, 0], // loop
  [0x04, 0x04, 'block type', 'branch', 1, 0], // if
  [0x05, 0x05, 'none', 'structure', 0, 0], // else
  [0x0b, 0x0b, 'none', 'structure', 0, 0], // end
  [0x0c, 0x0c, 'label', 'branch', 0, 0], // br
  [0x0d, 0x0d, 'label', 'branch', 1, 0], // br_if
  [0x0e, 0x0e, 'labels', 'branchTable', 1, 0], // br_table
  [0x0f, 0x0f, 'none', 'branch', 0, 0], // return
  [0x10, 0x10, 'function', 'call', 0, 0],
  [0x11, 0x11, 'type and table', 'callIndirect', 1, 0],
  [0x1a, 0x1a, 'none', 'simple', 1, 0], // drop
  [0x1b, 0x1b, 'none', 'simple', 3, 1], // select
  [0x1c, 0x1c, 'value types', 'simple', 3, 1, R], // select t
  [0x20, 0x20, 'index', 'simple', 0, 1], // local.get
  [0x21, 0x21, 'index', 'simple', 1, 0], // local.set
  [0x22, 0x22, 'index', 'simple', 1, 1], // local.tee
  [0x23, 0x23, 'index', 'simple', 0, 1], // global.get
  [0x24, 0x24, 'index', 'simple', 1, 0], // global.set
  [0x25, 0x25, 'index', 'table', 1, 1, R], // table.get
  [0x26, 0x26, 'index', 'table', 2, 0, R], // table.set
  [0x28, 0x35, 'memarg', 'memory', 1, 1], // loads
  [0x36, 0x3e, 'memarg', 'memory', 2, 0], // stores
  [0x3f, 0x3f, 'memory', 'simple', 0, 1], // memory.size
  [0x40, 0x40, 'memory', 'grow', 1, 1], // memory.grow
  [0x41, 0x41, 'i32', 'simple', 0, 1],
  [0x42, 0x42, 'i64', 'simple', 0, 1],
  [0x43, 0x43, '4 bytes', 'simple', 0, 1],
  [0x44, 0x44, '8 bytes', 'simple', 0, 1],
  [0x45, 0x45, 'none', 'simple', 1, 1], // i32.eqz
  [0x46, 0x4f, 'none', 'simple', 2, 1],
  [0x50, 0x50, 'none', 'simple', 1, 1], // i64.eqz
  [0x51, 0x66, 'none', 'simple', 2, 1],
  [0x67, 0x69, 'none', 'simple', 1, 1], // i32.clz ctz popcnt
  [0x6a, 0x6c, 'none', 'simple', 2, 1],
  [0x6d, 0x70, 'none', 'divide', 2, 1],
  [0x71, 0x78, 'none', 'simple', 2, 1],
  [0x79, 0x7b, 'none', 'simple', 1, 1], // i64.clz ctz popcnt
  [0x7c, 0x7e, 'none', 'simple', 2, 1],
  [0x7f, 0x82, 'none', 'divide', 2, 1],
  [0x83, 0x8a, 'none', 'simple', 2, 1],
  [0x8b, 0x8c, 'none', 'simple', 1, 1], // f32.abs neg
  [0x8d, 0x91, 'none', 'float', 1, 1], // f32.ceil floor trunc nearest sqrt
  [0x92, 0x94, 'none', 'simple', 2, 1],
  [0x95, 0x95, 'none', 'float', 2, 1], // f32.div
  [0x96, 0x98, 'none', 'simple', 2, 1],
  [0x99, 0x9a, 'none', 'simple', 1, 1], // f64.abs neg
  [0x9b, 0x9f, 'none', 'float', 1, 1],
  [0xa0, 0xa2, 'none', 'simple', 2, 1],
  [0xa3, 0xa3, 'none', 'float', 2, 1], // f64.div
  [0xa4, 0xa6, 'none', 'simple', 2, 1],
  [0xa7, 0xbf, 'none', 'simple', 1, 1], // conversions
  [0xc0, 0xc4, 'none', 'simple', 1, 1, 'sign-extension'],
  [0xd0, 0xd0, 'reference type', 'simple', 0, 1, R], // ref.null
  [0xd1, 0xd1, 'none', 'simple', 1, 1, R], // ref.is_null
  [0xd2, 0xd2, 'index', 'table', 0, 1, R], // ref.func
  [MISC + 0, MISC + 7, 'none', 'simple', 1, 1, 'saturating-float-to-int'],
  [MISC + 8, MISC + 8, 'data and memory', 'bulk', 3, 0, B], // memory.init
  [MISC + 9, MISC + 9, 'index', 'bulk', 0, 0, B], // data.drop
  [MISC + 10, MISC + 10, 'two memories', 'bulk', 3, 0, B], // memory.copy
  [MISC + 11, MISC + 11, 'memory', 'bulk', 3, 0, B], // memory.fill
  [MISC + 12, MISC + 12, 'two indices', 'bulk', 3, 0, B], // table.init
  [MISC + 13, MISC + 13, 'index', 'bulk', 0, 0, B], // elem.drop
  [MISC + 14, MISC + 14, 'two indices', 'bulk', 3, 0, B], // table.copy
  [MISC + 15, MISC + 15, 'index', 'grow', 2, 1, R], // table.grow
  [MISC + 16, MISC + 16, 'index', 'simple', 0, 1, R], // table.size
  [MISC + 17, MISC + 17, 'index', 'bulk', 3, 0, R], // table.fill
  [VECTOR + 0x00, VECTOR + 0x0a, 'memarg', 'vector', 1, 1, V], // loads
  [VECTOR + 0x0b, VECTOR + 0x0b, 'memarg', 'vector', 2, 0, V], // v128.store
  [VECTOR + 0x0c, VECTOR + 0x0c, '16 bytes', 'vector', 0, 1, V], // v128.const
  [VECTOR + 0x0d, VECTOR + 0x0d, '16 bytes', 'vector', 2, 1, V], // i8x16.shuffle
  [VECTOR + 0x0e, VECTOR + 0x0e, 'none', 'vector', 2, 1, V], // i8x16.swizzle
  [VECTOR + 0x0f, VECTOR + 0x14, 'none', 'vector', 1, 1, V], // splat
  ...lanes([0x15, 0x16, 0x18, 0x19, 0x1b, 0x1d, 0x1f, 0x21], 1), // extract_lane
  ...lanes([0x17, 0x1a, 0x1c, 0x1e, 0x20, 0x22], 2), // replace_lane
  [VECTOR + 0x23, VECTOR + 0x4c, 'none', 'vector', 2, 1, V], // comparisons
  [VECTOR + 0x4d, VECTOR + 0x4d, 'none', 'vector', 1, 1, V], // v128.not
  [VECTOR + 0x4e, VECTOR + 0x51, 'none', 'vector', 2, 1, V],
  [VECTOR + 0x52, VECTOR + 0x52, 'none', 'vector', 3, 1, V], // v128.bitselect
  [VECTOR + 0x53, VECTOR + 0x53, 'none', 'vector', 1, 1, V], // v128.any_true
  [VECTOR + 0x54, VECTOR + 0x57, 'memarg and lane', 'vector', 2, 1, V],
  [VECTOR + 0x58, VECTOR + 0x5b, 'memarg and lane', 'vector', 2, 0, V],
  [VECTOR + 0x5c, VECTOR + 0x5d, 'memarg', 'vector', 1, 1, V], // load32_zero, load64_zero
  ...vectors(0x5e, 'uuuuuuubbuuuubbbbbbbbbuubbbbubuuuu'),
  ...vectors(0x80, 'uubuubbuuuubbbbbbbbbubbbbb.bbbbb'),
  ...vectors(0xa0, 'uu.uu..uuuubbbb..b...bbbbbb.bbbb'),
  ...vectors(0xc0, 'uu.uu..uuuubbbb..b...bbbbbbbbbbb'),
  ...vectors(0xe0, 'uu.ubbbbbbbbuu.ubbbbbbbbuuuuuuuu'),
];

function lanes(codes: readonly number[], takes: number): Row[] {
  return codes.map((code) => [VECTOR + code, VECTOR + code, 'lane', 'vector', takes, 1, V]);
}

/** A letter each from `first` on: unary, binary, or not assigned. */
function vectors(first: number, kinds: string): Row[] {
  return [...kinds].flatMap((kind, index): Row[] =>
    kind === '.'
      ? []
      : [[VECTOR + first + index, VECTOR + first + index, 'none', 'vector', kind === 'u' ? 1 : 2, 1, V]],
  );
}

/** By opcode: index into `IMMEDIATES`; 0 is refused. */
export const IMMEDIATE = new Uint8Array(SIZE);
export const TAKES = new Uint8Array(SIZE);
export const LEAVES = new Uint8Array(SIZE);
/** By opcode: index into `FEATURES`. */
export const FEATURE = new Uint8Array(SIZE);
export const COST_CLASS: readonly (CostClass | undefined)[] = (() => {
  const costs: (CostClass | undefined)[] = new Array(SIZE).fill(undefined);
  for (const [from, to, immediate, cost, takes, leaves, feature = 'mvp'] of ROWS) {
    for (let code = from; code <= to; code++) {
      IMMEDIATE[code] = IMMEDIATES.indexOf(immediate);
      TAKES[code] = takes;
      LEAVES[code] = leaves;
      FEATURE[code] = FEATURES.indexOf(feature);
      costs[code] = cost;
    }
  }
  return costs;
})();

/** Features off the list, to be named when their first byte is met. */
export function refusedFeature(code: number): string {
  if (code >= 0x06 && code <= 0x0a) return 'exceptions';
  if (code === 0x18 || code === 0x19 || code === 0x1f) return 'exceptions';
  if (code === 0x12 || code === 0x13) return 'tail calls';
  if (code === 0x14 || code === 0x15 || (code >= 0xd3 && code <= 0xd6)) return 'typed function references';
  if (code === 0xfb) return 'garbage collection';
  if (code === 0xfe) return 'threads';
  if (code >= VECTOR + 0x100) return 'relaxed SIMD';
  return 'no feature known here';
}
