import type { Operation } from '../host-api/contract.ts';
import type { RequestedTarget } from './resolve-target.ts';

/** One thing a client asks for: well-formed, and nothing more is known of it yet. */
export interface Request {
  readonly operation: Operation;
  readonly target: RequestedTarget;
  /** Taken back when the connection ends. */
  readonly lease: boolean;
  /** Of set-memlock: leave a limit that is already as high. */
  readonly atLeast: boolean;
}
