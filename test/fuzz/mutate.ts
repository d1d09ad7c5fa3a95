import * as fc from 'fast-check';

type Edit = (bytes: Uint8Array) => Uint8Array;

/** Numbers that parsers trip over: LEB128 at its ends, sizes, signs. */
const NASTY = [
  [0x00],
  [0x7f],
  [0x80],
  [0xff],
  [0x40],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0x7f],
  [0x80, 0x80, 0x80, 0x80, 0x00],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
];

/** One of `bases` with a few edits: bytes changed, cut out, doubled, put in, or taken from another base. */
export function mutated(
  bases: readonly Uint8Array[],
  snippets: readonly Uint8Array[] = [],
): fc.Arbitrary<Uint8Array> {
  const nasty = [...NASTY.map((bytes) => Uint8Array.from(bytes)), ...snippets];
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  const edit: fc.Arbitrary<Edit> = fc.oneof(
    fc.tuple(place, fc.nat(255)).map(
      ([where, byte]): Edit =>
        (bytes) => {
          const copy = bytes.slice();
          if (copy.length > 0) copy[at(where, copy)] = byte;
          return copy;
        },
    ),
    fc.tuple(place, fc.nat(7)).map(
      ([where, bit]): Edit =>
        (bytes) => {
          const copy = bytes.slice();
          if (copy.length > 0) copy[at(where, copy)] = (copy[at(where, copy)] ?? 0) ^ (1 << bit);
          return copy;
        },
    ),
    fc.tuple(place, fc.nat(40)).map(
      ([where, count]): Edit =>
        (bytes) =>
          Buffer.concat([bytes.subarray(0, at(where, bytes)), bytes.subarray(at(where, bytes) + count)]),
    ),
    fc.tuple(place, fc.nat(40)).map(
      ([where, count]): Edit =>
        (bytes) => {
          const from = at(where, bytes);
          return Buffer.concat([bytes.subarray(0, from + count), bytes.subarray(from)]);
        },
    ),
    fc.tuple(place, fc.nat(nasty.length - 1), fc.boolean()).map(
      ([where, which, over]): Edit =>
        (bytes) => {
          const put = nasty[which] ?? new Uint8Array();
          const from = at(where, bytes);
          return Buffer.concat([
            bytes.subarray(0, from),
            put,
            bytes.subarray(over ? from + put.length : from),
          ]);
        },
    ),
    fc.tuple(place, fc.nat(Math.max(0, bases.length - 1)), place, fc.nat(60)).map(
      ([where, which, other, count]): Edit =>
        (bytes) => {
          const from = bases[which] ?? bytes;
          const start = at(other, from);
          return Buffer.concat([
            bytes.subarray(0, at(where, bytes)),
            from.subarray(start, start + count),
            bytes.subarray(at(where, bytes)),
          ]);
        },
    ),
  );
  return fc
    .tuple(fc.nat(bases.length - 1), fc.array(edit, { minLength: 1, maxLength: 6 }))
    .map(([which, edits]) =>
      edits.reduce((bytes, change) => change(bytes), bases[which] ?? new Uint8Array()),
    );
}

function at(where: number, bytes: Uint8Array): number {
  return Math.min(bytes.length - 1, Math.max(0, Math.floor(where * bytes.length)));
}
