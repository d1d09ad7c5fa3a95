import { formatBytes } from './size';

/** A resource limit: bytes, or none at all. */
export class Limit {
  private constructor(
    readonly isUnlimited: bool,
    private readonly amount: u64,
  ) {}

  static of(bytes: u64): Limit {
    return new Limit(false, bytes);
  }

  static unlimited(): Limit {
    return new Limit(true, 0);
  }

  /** Aborts if there is no limit: ask `isUnlimited` first, or compare with `exceeds`. */
  get bytes(): u64 {
    assert(!this.isUnlimited, 'an unlimited limit has no number of bytes');
    return this.amount;
  }

  /** Whether this allows more than `bytes`. Unlimited exceeds every number. */
  exceeds(bytes: u64): bool {
    return this.isUnlimited || this.amount > bytes;
  }

  /** Whether this allows as much as `other` or more. */
  covers(other: Limit): bool {
    return this.isUnlimited || (!other.isUnlimited && this.amount >= other.amount);
  }

  toString(): string {
    return this.isUnlimited ? 'unlimited' : formatBytes(this.amount);
  }
}
