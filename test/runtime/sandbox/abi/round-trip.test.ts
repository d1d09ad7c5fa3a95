import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layout } from '../../../../runtime/sandbox/abi/layout.ts';
import { type CoreValue, flatLifterOf, loaderOf } from '../../../../runtime/sandbox/abi/lift.ts';
import { flatLowererOf, storerOf } from '../../../../runtime/sandbox/abi/lower.ts';
import {
  bool,
  failure,
  list,
  option,
  type Shape,
  string,
  u64,
} from '../../../../runtime/sandbox/abi/type.ts';
import { label, limit, refusal, TYPES, thread } from '../../../../runtime/sandbox/abi/world.ts';
import { hostGuest } from './host-guest.ts';
import { valuesOf } from './values.ts';

const NAMED = TYPES.map((shape) => ['name' in shape ? shape.name : shape.kind, shape] as const);
const COMPOSED: readonly (readonly [string, Shape])[] = [
  ['list<thread>', list(thread)],
  ['list<label>', list(label)],
  ['option<string>', option(string)],
  ['option<u64>', option(u64)],
  ['result<_, refusal>', failure(refusal)],
  ['result<_, string>', failure(string)],
  ['list<option<limit>>', list(option(limit))],
  ['bool', bool],
];

describe.each([...NAMED, ...COMPOSED])('%s', (_name, shape) => {
  it('comes back from memory as it went in', () => {
    const store = storerOf(shape);
    const load = loaderOf(shape);
    fc.assert(
      fc.property(valuesOf(shape), (value) => {
        const { guest } = hostGuest();
        store(guest, 1024, value);
        expect(load(guest, 1024)).toEqual(value);
      }),
    );
  });

  it('comes back from flat values as it went in, each of its core type', () => {
    const lower = flatLowererOf(shape);
    const lift = flatLifterOf(shape);
    const types = layout(shape).flat;
    fc.assert(
      fc.property(valuesOf(shape), (value) => {
        const { guest } = hostGuest();
        // Behind two other parameters.
        const flat: CoreValue[] = [7, 7n];
        lower(guest, flat, 2, value);
        expect(flat.slice(2).map((one) => (typeof one === 'bigint' ? 'i64' : 'i32'))).toEqual(types);
        expect(lift(guest, throughCore(flat, types), 2)).toEqual(value);
      }),
    );
  });

  it('writes no byte beyond its size', () => {
    const store = storerOf(shape);
    const { size } = layout(shape);
    fc.assert(
      fc.property(valuesOf(shape), (value) => {
        const { guest, memory } = hostGuest();
        const bytes = new Uint8Array(memory.buffer);
        bytes.fill(0xaa, 0, 4096);
        store(guest, 1024, value);
        expect(bytes.subarray(0, 1024).every((byte) => byte === 0xaa)).toBe(true);
        expect(bytes.subarray(1024 + size, 4096).every((byte) => byte === 0xaa)).toBe(true);
      }),
    );
  });
});

/** What the engine makes of the values on their way through a function: i32 and i64 come back signed. */
function throughCore(flat: readonly CoreValue[], types: readonly string[]): CoreValue[] {
  return flat.map((value, index) =>
    types[index - 2] === 'i64' ? BigInt.asIntN(64, BigInt(value)) : Number(value) | 0,
  );
}
