import type { Limit } from './contract.ts';

export const UNLIMITED: Limit = { tag: 'unlimited' };

export function bytes(val: bigint): Limit {
  return { tag: 'bytes', val };
}

/** Negative if `a` is lower than `b`. Unlimited is above every number of bytes. */
export function compareLimits(a: Limit, b: Limit): number {
  if (a.tag === 'unlimited') return b.tag === 'unlimited' ? 0 : 1;
  if (b.tag === 'unlimited') return -1;
  return a.val < b.val ? -1 : a.val > b.val ? 1 : 0;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** For people: "4 GiB", "1536 MiB", "unlimited". Exact: a number that is no whole multiple keeps the lower unit. */
export function formatLimit(limit: Limit): string {
  return limit.tag === 'unlimited' ? 'unlimited' : formatBytes(limit.val);
}

export function formatBytes(value: bigint): string {
  let unit = 0;
  let rest = value;
  while (rest !== 0n && rest % 1024n === 0n && unit < UNITS.length - 1) {
    rest /= 1024n;
    unit++;
  }
  return `${rest} ${UNITS[unit]}`;
}
