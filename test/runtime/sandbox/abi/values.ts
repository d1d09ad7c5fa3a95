import fc from 'fast-check';
import type { Shape } from '../../../../runtime/sandbox/abi/type.ts';

/** Any value of a type. */
export function valuesOf(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'bool':
      return fc.boolean();
    case 'u32':
      return fc.nat({ max: 0xffff_ffff });
    case 's32':
      return fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
    case 'u64':
      return fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
    case 'string':
      return fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme-ascii', minLength: 40 }));
    case 'list':
      return fc.array(valuesOf(shape.of), { maxLength: 8 });
    case 'option':
    case 'failure':
      return fc.option(valuesOf(shape.of), { nil: undefined });
    case 'enum':
      return fc.constantFrom(...shape.cases);
    case 'record':
      return fc.record(Object.fromEntries(shape.fields.map((field) => [field.key, valuesOf(field.of)])));
    case 'variant':
      return fc.oneof(
        ...shape.cases.map((one) =>
          one.of === undefined
            ? fc.constant({ tag: one.name })
            : fc.record({ tag: fc.constant(one.name), val: valuesOf(one.of) }),
        ),
      );
  }
}
