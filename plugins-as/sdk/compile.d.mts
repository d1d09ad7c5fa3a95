export interface CompileOptions {
  /** The runtime of AssemblyScript: `stub` never frees, which a reset after each decision makes up for. */
  readonly runtime?: 'stub' | 'minimal' | 'incremental';
  /** Unoptimised, with names, for coverage and traps that can be read. */
  readonly debug?: boolean;
  /** Whether the text format is wanted too. */
  readonly wat?: boolean;
}

export interface Compiled {
  /** A core module of the contract. The same source and compiler give the same bytes, wherever they lie. */
  readonly wasm: Uint8Array;
  readonly wat: string | undefined;
  /** Warnings, as asc prints them; empty if there were none. */
  readonly diagnostics: string;
}

/** The policy doesn't compile. The message is what asc prints: each error with its lines, file and place. */
export class CompileError extends Error {
  readonly entryFile: string;
}

/** Compiles a policy in AssemblyScript. Throws `CompileError`. */
export function compile(entryFile: string, options?: CompileOptions): Promise<Compiled>;
