import type { Fault } from '../seam.ts';
import { GuestFault } from './fault.ts';

/** What a call of the plugin has cost on the host's side, and what went wrong in it. */
export abstract class Account {
  /** The first thing that went wrong in this call. Set before anything is thrown, so a guest can't hide it. */
  fault: GuestFault | undefined;
  /** True while guest code runs on behalf of the host (`cabi_realloc`): the canonical ABI lets it call nothing then. */
  inRealloc = false;
  #owed = 0;

  /** Takes fuel from the guest's counter; false, and the counter at zero, if there isn't enough. */
  protected abstract burn(units: number): boolean;

  /** Before each call from outside. */
  begin(): void {
    this.fault = undefined;
    this.inRealloc = false;
    this.#owed = 0;
  }

  fail(kind: Fault, message: string): never {
    this.fault ??= new GuestFault(kind, message);
    throw this.fault;
  }

  /** Notes fuel to be taken by the next `settle`. */
  owe(units: number): void {
    this.#owed += units;
  }

  /** Takes the fuel noted so far. Throws a fault of kind `fuel` if there isn't enough. */
  settle(): void {
    const units = this.#owed;
    this.#owed = 0;
    if (units > 0 && !this.burn(units)) this.fail('fuel', 'out of fuel in a host call');
  }

  charge(units: number): void {
    this.#owed += units;
    this.settle();
  }
}
