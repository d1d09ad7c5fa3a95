/**
 * The seam between the daemon and the sandbox: facts in, verdict and staged effects out, all of it plain data.
 * Node's threat model trusts WebAssembly code (nodejs/node#56345), so the seam is shaped like a message: the sandbox
 * can move to a process without privilege and nothing above this line changes.
 */
import type { Ceilings, Effect, Facts, Level, Operation, Refusal, Verdict } from '../../host-api/contract.ts';

/** Bounds compiled into the module or checked at load. All of them are hard. */
export interface SandboxLimits {
  /** Units of the cost table (`meter/costs.ts`) for one `decide`; `init` gets the same. */
  readonly fuel: bigint;
  /** Linear memory, in pages of 64 KiB. */
  readonly memoryPages: number;
  readonly tableElements: number;
  readonly callDepth: number;
  /** Size of the .wasm file. */
  readonly moduleBytes: number;
  /** Bytes of log text one call may write; the rest is dropped and counted. */
  readonly logBytes: number;
}

export const DEFAULT_LIMITS: SandboxLimits = {
  fuel: 10_000_000n,
  memoryPages: 64,
  tableElements: 4096,
  callDepth: 256,
  moduleBytes: 4 * 1024 * 1024,
  logBytes: 16 * 1024,
};

export interface PluginSource {
  /** The name of the plugin: its file's without `.wasm`. */
  readonly name: string;
  readonly wasm: Uint8Array;
  readonly limits: SandboxLimits;
  /** The manifest's [settings] as JSON, handed to `init`. */
  readonly settings: string;
}

export interface DecisionInput {
  readonly facts: Facts;
  readonly operation: Operation;
  readonly ceilings: Ceilings;
  /** Names of the cgroup groups that deputy.toml defines. */
  readonly groups: ReadonlySet<string>;
}

export interface LogLine {
  readonly level: Level;
  readonly message: string;
}

/** Why a call of the plugin ended other than by returning. */
export const FAULTS = ['trap', 'fuel', 'depth', 'abi', 'init-refused'] as const;
export type Fault = (typeof FAULTS)[number];

export interface Decision {
  readonly verdict: Verdict;
  /** Empty unless the verdict is `allow`. */
  readonly effects: readonly Effect[];
  readonly refusals: readonly Refusal[];
  /** Imports called, in order of first use: "subject.uid". */
  readonly factsRead: readonly string[];
  readonly log: readonly LogLine[];
  readonly fuelUsed: bigint;
  /** Set where the plugin did not answer properly; the verdict is then a denial. */
  readonly fault: { readonly kind: Fault; readonly message: string } | undefined;
}

/** A loaded plugin: validated, metered, instantiated, `init` done, snapshot taken. */
export interface Plugin {
  readonly name: string;
  /** Hex, of the bytes as read. */
  readonly sha256: string;
  readonly kind: 'core' | 'component';
  /** Synchronous, bounded by fuel, and never throws: a fault is a decision. */
  decide(input: DecisionInput): Decision;
  /**
   * Puts the instance back to its state after `init`. To be called after the reply is sent; `decide` does it itself
   * where nobody has.
   */
  reset(): void;
}

/** A problem of a module, with the byte where it stands, if there is one. */
export function atByte({
  message,
  offset,
}: {
  readonly message: string;
  readonly offset: number | undefined;
}): string {
  return offset === undefined ? message : `${message} (at byte ${offset})`;
}

/** The plugin can't be loaded. `offset` is the byte in the module, where there is one. */
export class SandboxError extends Error {
  override readonly name = 'SandboxError';
  readonly reason: 'invalid' | 'unsupported' | 'limit' | 'import' | 'export' | 'init' | 'dependency';
  readonly offset: number | undefined;

  constructor(reason: SandboxError['reason'], message: string, offset?: number, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.offset = offset;
  }
}
