import type { CoreValue } from './abi/lift.ts';
import type { Signature } from './abi/signature.ts';

/** A function of the host as a core module imports it. */
export interface HostFunction {
  readonly signature: Signature;
  readonly call: (...flat: CoreValue[]) => CoreValue | undefined;
}

/** Core module name → field name → function: all that a core module may import. */
export type HostFunctions = ReadonlyMap<string, ReadonlyMap<string, HostFunction>>;
