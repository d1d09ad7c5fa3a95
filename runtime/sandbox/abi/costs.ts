/**
 * Fuel that the host takes for what it does at a plugin's request, in the unit of `meter/costs.ts` (about one
 * WebAssembly instruction). Taken before the work is done, so that a storm of host calls ends like an endless loop.
 * Documented in docs/contract.md, since it is part of what makes a decision reproducible: a change of this table
 * changes `fuelUsed`.
 */
export const COSTS = {
  /** Every call of an import. */
  call: 100,
  /** Each string or list lifted or lowered, beside its bytes or elements. */
  string: 20,
  list: 20,
  /** Each byte of a string. */
  byte: 1,
  /** Each element of a list, beside the strings and lists in it. */
  element: 10,
  /** Each call of `effects`, beside `call`: the checks and claims of the stage. */
  effect: 500,
  /** Each thread that a call of `effects` is for. */
  effectThread: 100,
} as const;
