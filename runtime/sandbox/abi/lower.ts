import { COSTS } from './costs.ts';
import { byteLength, type Guest } from './guest.ts';
import { type CoreType, discriminantSize, layout, payloadOffset, recordLayout } from './layout.ts';
import type { CoreValue } from './lift.ts';
import type { Shape, Type } from './type.ts';

/** Writes a value at `ptr`. The caller has checked that the whole of it lies in memory, aligned. */
export type Store<T> = (guest: Guest, ptr: number, value: T) => void;

/** Writes a value to the flat values at `at`. */
export type LowerFlat<T> = (guest: Guest, flat: CoreValue[], at: number, value: T) => void;

/** A descriptor compiled to closures, once, at load. */
export function storer<T>(type: Type<T>): Store<T> {
  return storerOf(type) as Store<T>;
}

export function flatLowerer<T>(type: Type<T>): LowerFlat<T> {
  return flatLowererOf(type) as LowerFlat<T>;
}

export function storerOf(shape: Shape): Store<unknown> {
  switch (shape.kind) {
    case 'bool':
      return (guest, ptr, value) => guest.setU8(ptr, value === true ? 1 : 0);
    case 'u32':
    case 's32':
      return (guest, ptr, value) => guest.setU32(ptr, Number(value));
    case 'u64':
      return (guest, ptr, value) => guest.setU64(ptr, BigInt(value as bigint));
    case 'string':
      return (guest, ptr, value) => {
        const text = value as string;
        const size = byteLength(text);
        const block = guest.newString(text, size);
        guest.setU32(ptr, block);
        guest.setU32(ptr + 4, size);
      };
    case 'list': {
      const write = listWriter(shape.of);
      return (guest, ptr, value) => {
        const values = value as readonly unknown[];
        const block = write(guest, values);
        guest.setU32(ptr, block);
        guest.setU32(ptr + 4, values.length);
      };
    }
    case 'enum': {
      const write = tagWriter(shape.cases.length);
      const tags = indexOf(shape.cases);
      return (guest, ptr, value) => write(guest, ptr, tags(value));
    }
    case 'option':
    case 'failure': {
      const write = storerOf(shape.of);
      const offset = payloadOffset([undefined, shape.of]);
      return (guest, ptr, value) => {
        guest.setU8(ptr, value === undefined ? 0 : 1);
        if (value !== undefined) write(guest, ptr + offset, value);
      };
    }
    case 'record': {
      const { at } = recordLayout(shape.fields.map((field) => field.of));
      const fields = shape.fields.map((field, index) => ({
        key: field.key,
        offset: at[index]?.offset ?? 0,
        write: storerOf(field.of),
      }));
      return (guest, ptr, value) => {
        const members = value as Readonly<Record<string, unknown>>;
        for (const field of fields) field.write(guest, ptr + field.offset, members[field.key]);
      };
    }
    case 'variant': {
      const write = tagWriter(shape.cases.length);
      const tags = indexOf(shape.cases.map((one) => one.name));
      const offset = payloadOffset(shape.cases.map((one) => one.of));
      const payloads = shape.cases.map((one) => (one.of === undefined ? undefined : storerOf(one.of)));
      return (guest, ptr, value) => {
        const one = value as { readonly tag: string; readonly val?: unknown };
        const tag = tags(one.tag);
        write(guest, ptr, tag);
        payloads[tag]?.(guest, ptr + offset, one.val);
      };
    }
  }
}

export function flatLowererOf(shape: Shape): LowerFlat<unknown> {
  switch (shape.kind) {
    case 'bool':
      return (_guest, flat, at, value) => {
        flat[at] = value === true ? 1 : 0;
      };
    case 'u32':
    case 's32':
      return (_guest, flat, at, value) => {
        flat[at] = Number(value);
      };
    case 'u64':
      return (_guest, flat, at, value) => {
        flat[at] = BigInt(value as bigint);
      };
    case 'string':
      return (guest, flat, at, value) => {
        const text = value as string;
        const size = byteLength(text);
        flat[at] = guest.newString(text, size);
        flat[at + 1] = size;
      };
    case 'list': {
      const write = listWriter(shape.of);
      return (guest, flat, at, value) => {
        const values = value as readonly unknown[];
        flat[at] = write(guest, values);
        flat[at + 1] = values.length;
      };
    }
    case 'enum': {
      const tags = indexOf(shape.cases);
      return (_guest, flat, at, value) => {
        flat[at] = tags(value);
      };
    }
    case 'option':
    case 'failure':
      return lowerFlatCases(
        [undefined, shape.of],
        (value) => (value === undefined ? 0 : 1),
        (value) => value,
      );
    case 'record': {
      const { at: places } = recordLayout(shape.fields.map((field) => field.of));
      const fields = shape.fields.map((field, index) => ({
        key: field.key,
        flat: places[index]?.flat ?? 0,
        lower: flatLowererOf(field.of),
      }));
      return (guest, flat, at, value) => {
        const members = value as Readonly<Record<string, unknown>>;
        for (const field of fields) field.lower(guest, flat, at + field.flat, members[field.key]);
      };
    }
    case 'variant': {
      const tags = indexOf(shape.cases.map((one) => one.name));
      return lowerFlatCases(
        shape.cases.map((one) => one.of),
        (value) => tags((value as { readonly tag: string }).tag),
        (value) => (value as { readonly val?: unknown }).val,
      );
    }
  }
}

/**
 * A case lowers to its own flat values, each widened where cases join to i64 (Canonical ABI, lower_flat_variant);
 * what it leaves unused is zero.
 */
function lowerFlatCases(
  cases: readonly (Shape | undefined)[],
  tagOf: (value: unknown) => number,
  payloadOf: (value: unknown) => unknown,
): LowerFlat<unknown> {
  const whole = layout({
    kind: 'variant',
    name: '',
    cases: cases.map((of) => ({ name: '', of })),
  }).flat.slice(1);
  const zeros = whole.map(zero);
  const compiled = cases.map((of) => {
    if (of === undefined) return undefined;
    const own = layout(of).flat;
    return {
      lower: flatLowererOf(of),
      widened: whole.flatMap((type, index) => (type === 'i64' && own[index] === 'i32' ? [index] : [])),
    };
  });
  return (guest, flat, at, value) => {
    const tag = tagOf(value);
    flat[at] = tag;
    for (let index = 0; index < zeros.length; index++) flat[at + 1 + index] = zeros[index] ?? 0;
    const payload = compiled[tag];
    if (payload === undefined) return;
    payload.lower(guest, flat, at + 1, payloadOf(value));
    for (const index of payload.widened) {
      flat[at + 1 + index] = BigInt(Number(flat[at + 1 + index] ?? 0) >>> 0);
    }
  };
}

function listWriter(element: Shape): (guest: Guest, values: readonly unknown[]) => number {
  const { size, align } = layout(element);
  const write = storerOf(element);
  return (guest, values) => {
    guest.owe(COSTS.list + values.length * COSTS.element);
    const block = guest.allocate(values.length * size, align, 'a list');
    for (let index = 0; index < values.length; index++) write(guest, block + index * size, values[index]);
    return block;
  };
}

function tagWriter(cases: number): Store<number> {
  switch (discriminantSize(cases)) {
    case 1:
      return (guest, ptr, tag) => guest.setU8(ptr, tag);
    case 2:
      return (guest, ptr, tag) => guest.setU16(ptr, tag);
    case 4:
      return (guest, ptr, tag) => guest.setU32(ptr, tag);
  }
}

function indexOf(cases: readonly string[]): (value: unknown) => number {
  const tags = new Map<unknown, number>(cases.map((name, index) => [name, index]));
  return (value) => {
    const tag = tags.get(value);
    // A bug of the daemon, not of the plugin: tsc proves that facts and operations have these cases only.
    if (tag === undefined) throw new TypeError(`${String(value)} is none of ${cases.join(', ')}`);
    return tag;
  };
}

function zero(type: CoreType): CoreValue {
  return type === 'i64' ? 0n : 0;
}
