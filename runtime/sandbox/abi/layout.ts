import type { Shape } from './type.ts';

/** The core types that the contract flattens to. It has no floats. */
export type CoreType = 'i32' | 'i64';

/** Size and alignment in linear memory, in bytes, and the flattened form (Canonical ABI, "Alignment", "Element Size", "Flattening"). */
export interface Layout {
  readonly size: number;
  readonly align: number;
  readonly flat: readonly CoreType[];
}

export function layout(shape: Shape): Layout {
  switch (shape.kind) {
    case 'bool':
      return { size: 1, align: 1, flat: ['i32'] };
    case 'u32':
    case 's32':
      return { size: 4, align: 4, flat: ['i32'] };
    case 'u64':
      return { size: 8, align: 8, flat: ['i64'] };
    case 'string':
    case 'list':
      return { size: 8, align: 4, flat: ['i32', 'i32'] };
    case 'option':
    case 'failure':
      return variantLayout([undefined, shape.of]);
    case 'enum': {
      const size = discriminantSize(shape.cases.length);
      return { size, align: size, flat: ['i32'] };
    }
    case 'record':
      return recordLayout(shape.fields.map((field) => field.of)).whole;
    case 'variant':
      return variantLayout(shape.cases.map((one) => one.of));
  }
}

/** A record or the parameters of a function: the whole, and where each member lies in memory and among the flat values. */
export function recordLayout(members: readonly Shape[]): {
  readonly whole: Layout;
  readonly at: readonly { readonly offset: number; readonly flat: number }[];
} {
  let offset = 0;
  let align = 1;
  const flat: CoreType[] = [];
  const at = members.map((member) => {
    const part = layout(member);
    offset = alignTo(offset, part.align);
    const place = { offset, flat: flat.length };
    offset += part.size;
    align = Math.max(align, part.align);
    flat.push(...part.flat);
    return place;
  });
  return { whole: { size: alignTo(offset, align), align, flat }, at };
}

/** Where a variant's payload begins. */
export function payloadOffset(cases: readonly (Shape | undefined)[]): number {
  const payloads = cases.filter((of) => of !== undefined).map(layout);
  const align = Math.max(1, ...payloads.map((payload) => payload.align));
  return alignTo(discriminantSize(cases.length), align);
}

export function discriminantSize(cases: number): 1 | 2 | 4 {
  return cases <= 256 ? 1 : cases <= 65536 ? 2 : 4;
}

export function alignTo(offset: number, align: number): number {
  return Math.ceil(offset / align) * align;
}

function variantLayout(cases: readonly (Shape | undefined)[]): Layout {
  const payloads = cases.filter((of) => of !== undefined).map(layout);
  const tag = discriminantSize(cases.length);
  const align = Math.max(tag, ...payloads.map((payload) => payload.align));
  const size = Math.max(0, ...payloads.map((payload) => payload.size));
  const joined: CoreType[] = [];
  for (const payload of payloads) {
    payload.flat.forEach((type, index) => {
      const other = joined[index];
      joined[index] = other === undefined || other === type ? type : 'i64';
    });
  }
  return { size: alignTo(payloadOffset(cases) + size, align), align, flat: ['i32', ...joined] };
}
