/** The answer to a request. Made by `allow`, `deny` and `pass`. */
export class Verdict {
  constructor(
    readonly tag: u8,
    readonly reason: string,
  ) {}
}

/** Apply what was staged. */
export function allow(): Verdict {
  return new Verdict(0, '');
}

/** Refuse. The reason goes to the caller and into the audit record: say what was asked and what is allowed. */
export function deny(reason: string): Verdict {
  return new Verdict(1, reason);
}

/** No opinion: ask the next plugin. The end of the chain is a denial. */
export function pass(): Verdict {
  return new Verdict(2, '');
}
