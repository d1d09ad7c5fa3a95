import { COSTS } from './costs.ts';
import { type Guest, MAX_LIST_ELEMENTS } from './guest.ts';
import { discriminantSize, layout, payloadOffset, recordLayout } from './layout.ts';
import type { Shape, Type } from './type.ts';

/** A core value as the engine hands it over: i32 as a signed number, i64 as a signed bigint. */
export type CoreValue = number | bigint;

/** Reads a value at `ptr`. The caller has checked that the whole of it lies in memory, aligned. */
export type Load<T> = (guest: Guest, ptr: number) => T;

/** Reads a value from the flat values at `at`. */
export type LiftFlat<T> = (guest: Guest, flat: readonly CoreValue[], at: number) => T;

/** A descriptor compiled to closures, once, at load. */
export function loader<T>(type: Type<T>): Load<T> {
  return loaderOf(type) as Load<T>;
}

export function flatLifter<T>(type: Type<T>): LiftFlat<T> {
  return flatLifterOf(type) as LiftFlat<T>;
}

/** Lifts the parameters of a function, given by name. */
export function paramLifter(
  params: readonly { readonly name: string; readonly of: Shape }[],
): LiftFlat<object> {
  const { at } = recordLayout(params.map((param) => param.of));
  const members = params.map((param, index) => ({
    key: param.name,
    flat: at[index]?.flat ?? 0,
    lift: flatLifterOf(param.of),
  }));
  return (guest, flat, start) => {
    const value: Record<string, unknown> = {};
    for (const member of members) value[member.key] = member.lift(guest, flat, start + member.flat);
    return value;
  };
}

export function loaderOf(shape: Shape): Load<unknown> {
  switch (shape.kind) {
    case 'bool':
      // Any bit set is true (Canonical ABI, convert_int_to_bool).
      return (guest, ptr) => guest.u8(ptr) !== 0;
    case 'u32':
      return (guest, ptr) => guest.u32(ptr);
    case 's32':
      return (guest, ptr) => guest.s32(ptr);
    case 'u64':
      return (guest, ptr) => guest.u64(ptr);
    case 'string':
      return (guest, ptr) => guest.string(guest.u32(ptr), guest.u32(ptr + 4));
    case 'list': {
      const read = listReader(shape.of);
      return (guest, ptr) => read(guest, guest.u32(ptr), guest.u32(ptr + 4));
    }
    case 'enum': {
      const tag = tagReader(shape.cases.length);
      const pick = picker(shape.name, shape.cases);
      return (guest, ptr) => pick(guest, tag(guest, ptr));
    }
    case 'option':
    case 'failure': {
      const read = loaderOf(shape.of);
      const offset = payloadOffset([undefined, shape.of]);
      const check = discriminantChecker(shape.kind === 'option' ? 'option' : 'result', 2);
      return (guest, ptr) => (check(guest, guest.u8(ptr)) === 0 ? undefined : read(guest, ptr + offset));
    }
    case 'record': {
      const { at } = recordLayout(shape.fields.map((field) => field.of));
      const fields = shape.fields.map((field, index) => ({
        key: field.key,
        offset: at[index]?.offset ?? 0,
        read: loaderOf(field.of),
      }));
      return (guest, ptr) => {
        const value: Record<string, unknown> = {};
        for (const field of fields) value[field.key] = field.read(guest, ptr + field.offset);
        return value;
      };
    }
    case 'variant': {
      const tag = tagReader(shape.cases.length);
      const check = discriminantChecker(shape.name, shape.cases.length);
      const offset = payloadOffset(shape.cases.map((one) => one.of));
      const cases = shape.cases.map((one) => ({
        name: one.name,
        read: one.of === undefined ? undefined : loaderOf(one.of),
      }));
      return (guest, ptr) => {
        const one = cases[check(guest, tag(guest, ptr))];
        return one?.read === undefined
          ? { tag: one?.name }
          : { tag: one.name, val: one.read(guest, ptr + offset) };
      };
    }
  }
}

export function flatLifterOf(shape: Shape): LiftFlat<unknown> {
  switch (shape.kind) {
    case 'bool':
      return (_guest, flat, at) => i32(flat[at]) !== 0;
    case 'u32':
      return (_guest, flat, at) => i32(flat[at]) >>> 0;
    case 's32':
      return (_guest, flat, at) => i32(flat[at]);
    case 'u64':
      return (_guest, flat, at) => BigInt.asUintN(64, BigInt(flat[at] ?? 0));
    case 'string':
      return (guest, flat, at) => guest.string(i32(flat[at]) >>> 0, i32(flat[at + 1]) >>> 0);
    case 'list': {
      const read = listReader(shape.of);
      return (guest, flat, at) => read(guest, i32(flat[at]) >>> 0, i32(flat[at + 1]) >>> 0);
    }
    case 'enum': {
      const pick = picker(shape.name, shape.cases);
      return (guest, flat, at) => pick(guest, i32(flat[at]) >>> 0);
    }
    case 'option':
    case 'failure': {
      const lift = flatLifterOf(shape.of);
      const check = discriminantChecker(shape.kind === 'option' ? 'option' : 'result', 2);
      return (guest, flat, at) =>
        check(guest, i32(flat[at]) >>> 0) === 0 ? undefined : lift(guest, flat, at + 1);
    }
    case 'record': {
      const { at: places } = recordLayout(shape.fields.map((field) => field.of));
      const fields = shape.fields.map((field, index) => ({
        key: field.key,
        flat: places[index]?.flat ?? 0,
        lift: flatLifterOf(field.of),
      }));
      return (guest, flat, at) => {
        const value: Record<string, unknown> = {};
        for (const field of fields) value[field.key] = field.lift(guest, flat, at + field.flat);
        return value;
      };
    }
    case 'variant': {
      const check = discriminantChecker(shape.name, shape.cases.length);
      const cases = shape.cases.map((one) => ({
        name: one.name,
        lift: one.of === undefined ? undefined : flatLifterOf(one.of),
      }));
      return (guest, flat, at) => {
        const one = cases[check(guest, i32(flat[at]) >>> 0)];
        return one?.lift === undefined
          ? { tag: one?.name }
          : { tag: one.name, val: one.lift(guest, flat, at + 1) };
      };
    }
  }
}

/** Where cases of a variant join to i64, an i32 is its low half (Canonical ABI, lift_flat_variant). */
function i32(value: CoreValue | undefined): number {
  return typeof value === 'number' ? value : Number(BigInt.asIntN(32, value ?? 0n));
}

function listReader(element: Shape): (guest: Guest, ptr: number, length: number) => readonly unknown[] {
  const { size, align } = layout(element);
  const read = loaderOf(element);
  return (guest, ptr, length) => {
    if (length > MAX_LIST_ELEMENTS) {
      guest.fail('abi', `a list of ${length} elements exceeds the ${MAX_LIST_ELEMENTS} that the host takes`);
    }
    guest.check(ptr, length * size, align, 'a list');
    guest.charge(COSTS.list + length * COSTS.element);
    const values: unknown[] = [];
    for (let index = 0; index < length; index++) values.push(read(guest, ptr + index * size));
    return values;
  };
}

function tagReader(cases: number): Load<number> {
  switch (discriminantSize(cases)) {
    case 1:
      return (guest, ptr) => guest.u8(ptr);
    case 2:
      return (guest, ptr) => guest.u16(ptr);
    case 4:
      return (guest, ptr) => guest.u32(ptr);
  }
}

function discriminantChecker(name: string, cases: number): (guest: Guest, tag: number) => number {
  return (guest, tag) =>
    tag < cases ? tag : guest.fail('abi', `discriminant ${tag} of ${name}, which has ${cases} cases`);
}

function picker(name: string, cases: readonly string[]): (guest: Guest, tag: number) => string {
  return (guest, tag) =>
    cases[tag] ?? guest.fail('abi', `discriminant ${tag} of ${name}, which has ${cases.length} cases`);
}
