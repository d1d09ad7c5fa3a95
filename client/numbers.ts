import type { Json } from '../runtime/varlink/json.ts';

/** Members whose values may lie beyond 2^53: bytes, clock ticks, inodes and fuel are always bigint. */
const WIDE = /(?:^bytes|Bytes|Ticks|pidfdId|fuelUsed)$/;

/** Whether integers of this name are bigint in the client's types, and number otherwise. */
export function isWide(name: string): boolean {
  return WIDE.test(name);
}

/** Integers arrive as bigint; those of narrow members become numbers. The same name always has the same type. */
export function fromWire(value: Json, name = ''): unknown {
  if (typeof value === 'bigint') return isWide(name) || !isSafe(value) ? value : Number(value);
  if (Array.isArray(value)) return value.map((element) => fromWire(element, name));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, fromWire(member, key)]));
}

function isSafe(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
}
