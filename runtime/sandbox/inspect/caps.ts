/**
 * Bounds on the shape of a module. They keep what the engine does with it (validation, compilation, instantiation:
 * none of them is metered) in proportion to what a policy can need. All far below V8's own, and far above what
 * compilers emit; the largest module known to be useful is componentize-js's JavaScript engine of 12 MB.
 */
export interface Caps {
  readonly types: number;
  /** Parameters and results of one type. */
  readonly params: number;
  readonly results: number;
  readonly imports: number;
  readonly exports: number;
  readonly functions: number;
  readonly globals: number;
  readonly tables: number;
  readonly elementSegments: number;
  /** Over all segments. */
  readonly elements: number;
  readonly dataSegments: number;
  readonly functionBytes: number;
  /** Of one function, parameters included. */
  readonly locals: number;
  /** Locals and operands of one function at once: each takes 8 or 16 bytes of the stack. */
  readonly frameSlots: number;
  readonly nesting: number;
  readonly branchTargets: number;
  /**
   * Branches of a function times its locals, summed over the module: V8's baseline compiler merges the state of every
   * local at every branch, so that a module of a few kilobytes could otherwise keep it busy for minutes.
   */
  readonly merges: number;
}

export const CAPS: Caps = {
  types: 10_000,
  params: 128,
  results: 64,
  imports: 1_000,
  exports: 10_000,
  functions: 100_000,
  globals: 10_000,
  tables: 16,
  elementSegments: 10_000,
  elements: 200_000,
  dataSegments: 10_000,
  functionBytes: 1024 * 1024,
  locals: 10_000,
  frameSlots: 12_000,
  nesting: 5_000,
  branchTargets: 16_384,
  merges: 200_000_000,
};
