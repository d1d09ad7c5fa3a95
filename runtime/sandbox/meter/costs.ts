/**
 * Fuel that WebAssembly instructions take. One unit is about one cheap instruction, 1 ns or less. What the host takes
 * on its side is in `abi/costs.ts`, in the same unit. Both tables are documented in docs/contract.md, since `fuelUsed`
 * is part of what a recorded decision is compared by: a change here is a change for users.
 */
export const COSTS = {
  /** nop, block, else, end, unreachable: nothing is executed for them. */
  structure: 0,
  /** Constants, locals, globals, arithmetic, comparisons, conversions. */
  simple: 1,
  /** br, br_if, if, return, and each entry of a loop's body. */
  branch: 1,
  branchTable: 3,
  call: 5,
  callIndirect: 10,
  /** Loads and stores. */
  memory: 2,
  /** Integer division and remainder. */
  divide: 10,
  /** Floating-point division, square root and rounding. */
  float: 5,
  /** table.get, table.set, ref.func */
  table: 5,
  vector: 2,
  /** Bulk operations, beside their length. */
  bulk: 20,
  /** memory.grow and table.grow, beside their length. */
  grow: 100,
} as const;

export type CostClass = keyof typeof COSTS;

/** Each call of a function of the module, beside the instruction that calls it: its locals are set to zero. */
export const LOCAL_COST = 1;

/** Bytes that memory.fill, memory.copy, memory.init and memory.grow handle for one unit, as a power of two. */
export const BULK_BYTES_LOG2 = 3;

/** Each element that table.fill, table.copy, table.init and table.grow handle. */
export const ELEMENT_COST = 10;

/**
 * A call takes one from the call depth, and one more for each so many slots (locals and operands) of its frame: the
 * depth is what keeps the guest off the end of the daemon's stack, where V8 would throw at a depth that varies.
 */
export const FRAME_SLOTS = 64;
