import type { Fault } from '../seam.ts';

/**
 * Ends the guest's call. Thrown through WebAssembly frames, which can't catch it, since exception opcodes are refused;
 * even so, whoever throws one also notes it outside of the guest's reach.
 */
export class GuestFault extends Error {
  override readonly name = 'GuestFault';
  readonly kind: Fault;

  constructor(kind: Fault, message: string) {
    super(message);
    this.kind = kind;
  }
}
