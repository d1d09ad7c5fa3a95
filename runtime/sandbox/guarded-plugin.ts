import type { Operation, Verdict } from '../../host-api/contract.ts';
import type { Account } from './abi/account.ts';
import { GuestFault } from './abi/fault.ts';
import { Call, type Phase } from './call.ts';
import { PolicyHost } from './policy-host.ts';
import { messageOf } from './prepare.ts';
import { type Decision, type DecisionInput, type Plugin, SandboxError, type SandboxLimits } from './seam.ts';

/** What core modules and components have in common: one decision, its end in every case, and the way back to the start. */
export abstract class GuardedPlugin implements Plugin {
  readonly name: string;
  readonly sha256: string;
  abstract readonly kind: Plugin['kind'];
  protected readonly limits: SandboxLimits;
  protected readonly host: PolicyHost;
  readonly #account: Account;
  /** `used`: a snapshot may bring it back. `broken`: only a new instance does. */
  #condition: 'clean' | 'used' | 'broken' = 'clean';

  protected constructor(name: string, sha256: string, limits: SandboxLimits, account: Account) {
    this.name = name;
    this.sha256 = sha256;
    this.limits = limits;
    this.#account = account;
    this.host = new PolicyHost(account, limits.logBytes);
  }

  decide(input: DecisionInput): Decision {
    const call = new Call(this.limits.logBytes, input);
    let answer: Verdict | undefined;
    let fault: GuestFault | undefined;
    let entered = false;
    try {
      this.reset();
      this.#condition = 'broken';
      this.host.call = call;
      this.#account.begin();
      this.arm();
      entered = true;
      answer = this.run(input.operation);
      fault = this.#account.fault;
    } catch (error) {
      fault = this.#classify(error, 'decide');
    }
    this.host.phase = 'idle';
    if (fault === undefined) this.#condition = 'used';
    return call.decision(this.name, answer, fault, entered ? this.fuelUsed() : 0n);
  }

  reset(): void {
    if (this.#condition === 'clean') return;
    if (this.#condition === 'broken' || !this.restore()) this.renew();
    this.#condition = 'clean';
  }

  /** Gives every counter its full measure. */
  protected abstract arm(): void;
  /** One armed call of `decide`. May throw anything. */
  protected abstract run(operation: Operation): Verdict;
  /** Sets the state after `init` back from the snapshot. False where that would not be all of it. */
  protected abstract restore(): boolean;
  /** Replaces what may be broken by a new instance in the state after `init`. */
  protected abstract renew(): void;
  /** Fuel taken since `arm`, the host's charges included. */
  protected abstract fuelUsed(): bigint;

  /**
   * Runs guest code outside of a decision: at load, or to get a new instance. What goes wrong is a `SandboxError`
   * that names the step, which the caller moves on by calling `step`.
   */
  protected prepareBy<T>(run: (step: (phase: Phase, name: string) => void) => T): T {
    let at = 'start';
    this.host.call = new Call(this.limits.logBytes);
    this.#account.begin();
    try {
      const result = run((phase, name) => {
        at = name;
        this.host.phase = phase;
      });
      if (this.#account.fault !== undefined) throw this.#account.fault;
      return result;
    } catch (error) {
      if (error instanceof SandboxError) throw error;
      const { kind, message } = this.#classify(error, at);
      throw new SandboxError('init', `${this.name}: ${kind} in ${at}: ${message}`, undefined, {
        cause: error,
      });
    } finally {
      this.host.phase = 'idle';
    }
  }

  /** What ended a call, from what the engine threw. The host's own note goes first: it was made beyond the guest's reach. */
  #classify(error: unknown, where: string): GuestFault {
    if (this.#account.fault !== undefined) return this.#account.fault;
    const exhausted = this.exhausted();
    if (exhausted === 'fuel') return new GuestFault('fuel', `out of fuel in ${where}`);
    if (exhausted === 'depth') return new GuestFault('depth', `calls nested too deep in ${where}`);
    if (error instanceof RangeError && error.message.includes('call stack')) {
      return new GuestFault('depth', `stack overflow in ${where}`);
    }
    return new GuestFault('trap', `${messageOf(error)} in ${where}`);
  }

  /** Which counter, if any, says that it ended the call. */
  protected abstract exhausted(): 'fuel' | 'depth' | undefined;
}
