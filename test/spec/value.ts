/** Values as the suite writes them, bit for bit. */
import { type Form, isList, type List, wordOf } from './s-expression.ts';

export type NumberType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

/** What one lane or number must be: its bits, or a pattern of NaN. */
export type Lane =
  | { readonly bytes: number; readonly bits: bigint }
  | { readonly bytes: 4 | 8; readonly nan: 'canonical' | 'arithmetic' };

export type Value =
  | { readonly type: NumberType; readonly lanes: readonly Lane[] }
  /** Null, a number that a host reference stands for, or whatever is not null. */
  | { readonly type: 'externref' | 'funcref' | 'ref'; readonly ref: number | 'null' | 'any' };

/** How a float's literal is to be read: the assembler knows, see `constants.ts`. */
export type ReadFloat = (type: 'f32' | 'f64', literal: string) => bigint;

const SHAPES: Readonly<Record<string, { type: 'i' | 'f32' | 'f64'; bytes: number }>> = {
  i8x16: { type: 'i', bytes: 1 },
  i16x8: { type: 'i', bytes: 2 },
  i32x4: { type: 'i', bytes: 4 },
  i64x2: { type: 'i', bytes: 8 },
  f32x4: { type: 'f32', bytes: 4 },
  f64x2: { type: 'f64', bytes: 8 },
};

export function isValue(form: Form): form is List {
  return (
    isList(form, 'i32.const', 'i64.const', 'f32.const', 'f64.const', 'v128.const') ||
    /^\(ref\b/.test(headOf(form))
  );
}

function headOf(form: Form): string {
  return isList(form) ? `(${wordOf(form.items[0])}` : '';
}

export function readValue(form: List, float: ReadFloat): Value {
  const head = wordOf(form.items[0]);
  const words = form.items.slice(1).map(wordOf);
  switch (head) {
    case 'i32.const':
      return { type: 'i32', lanes: [integer(words[0] ?? '', 4)] };
    case 'i64.const':
      return { type: 'i64', lanes: [integer(words[0] ?? '', 8)] };
    case 'f32.const':
    case 'f64.const': {
      const type = head === 'f32.const' ? 'f32' : 'f64';
      return { type, lanes: [floating(type, words[0] ?? '', float)] };
    }
    case 'v128.const': {
      const shape = SHAPES[words[0] ?? ''];
      if (shape === undefined) throw new Error(`v128.const ${words[0]}`);
      const { type, bytes } = shape;
      const lane = (word: string): Lane =>
        type === 'i' ? integer(word, bytes) : floating(type, word, float);
      return { type: 'v128', lanes: words.slice(1).map(lane) };
    }
    case 'ref.null':
      return { type: words[0] === 'extern' ? 'externref' : 'funcref', ref: 'null' };
    case 'ref.extern':
      return { type: 'externref', ref: words[0] === undefined ? 'any' : Number(words[0]) };
    case 'ref.func':
      return { type: 'funcref', ref: 'any' };
    default:
      throw new Error(`a value of ${head}`);
  }
}

function integer(word: string, bytes: number): Lane {
  const negative = word.startsWith('-');
  const magnitude = BigInt(word.replace(/^[+-]/, '').replaceAll('_', ''));
  return { bytes, bits: BigInt.asUintN(bytes * 8, negative ? -magnitude : magnitude) };
}

function floating(type: 'f32' | 'f64', word: string, float: ReadFloat): Lane {
  const bytes = type === 'f32' ? 4 : 8;
  if (word === 'nan:canonical') return { bytes, nan: 'canonical' };
  if (word === 'nan:arithmetic') return { bytes, nan: 'arithmetic' };
  return { bytes, bits: float(type, word) };
}

/** Writes a value's bits, little-endian. */
export function writeLanes(view: DataView, at: number, lanes: readonly Lane[]): void {
  let offset = at;
  for (const lane of lanes) {
    if ('nan' in lane) throw new Error('a pattern is no argument');
    for (let index = 0; index < lane.bytes; index++) {
      view.setUint8(offset++, Number((lane.bits >> BigInt(8 * index)) & 0xffn));
    }
  }
}

/** Whether the bits at `at` are what the lanes demand. */
export function matchLanes(view: DataView, at: number, lanes: readonly Lane[]): boolean {
  let offset = at;
  for (const lane of lanes) {
    let bits = 0n;
    for (let index = lane.bytes - 1; index >= 0; index--)
      bits = (bits << 8n) | BigInt(view.getUint8(offset + index));
    offset += lane.bytes;
    if ('nan' in lane) {
      const [quiet, magnitude] =
        lane.bytes === 4 ? [0x7fc0_0000n, 0x7fff_ffffn] : [0x7ff8_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn];
      // Canonical: the quiet bit alone, either sign. Arithmetic: at least the quiet bit.
      const fits = lane.nan === 'canonical' ? (bits & magnitude) === quiet : (bits & quiet) === quiet;
      if (!fits) return false;
    } else if (bits !== lane.bits) {
      return false;
    }
  }
  return true;
}
