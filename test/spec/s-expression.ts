/** The outer form of WebAssembly's text format: lists, words and strings, with where in the source they stand. */

export type Form = List | Word | Text;

export interface List {
  readonly kind: 'list';
  readonly items: readonly Form[];
  readonly from: number;
  readonly to: number;
}

export interface Word {
  readonly kind: 'word';
  readonly word: string;
  readonly from: number;
}

export interface Text {
  readonly kind: 'text';
  /** The bytes that it stands for: a string of the format need not be UTF-8. */
  readonly bytes: Uint8Array;
  readonly from: number;
}

/** All forms of a source, which is given as one character a byte (latin1). */
export function readForms(source: string): Form[] {
  const stack: { items: Form[]; from: number }[] = [{ items: [], from: 0 }];
  const add = (form: Form): void => {
    stack.at(-1)?.items.push(form);
  };
  let at = 0;
  while (at < source.length) {
    const char = source[at] ?? '';
    if (/\s/.test(char)) {
      at++;
    } else if (source.startsWith(';;', at)) {
      const end = /[\n\r]/g;
      end.lastIndex = at;
      at = end.exec(source)?.index ?? source.length;
    } else if (source.startsWith('(;', at)) {
      at = skipComment(source, at);
    } else if (char === '(') {
      stack.push({ items: [], from: at });
      at++;
    } else if (char === ')') {
      const list = stack.pop();
      if (list === undefined || stack.length === 0) throw new Error(`unbalanced ) at ${at}`);
      at++;
      add({ kind: 'list', items: list.items, from: list.from, to: at });
    } else if (char === '"') {
      const { bytes, to } = readText(source, at);
      add({ kind: 'text', bytes, from: at });
      at = to;
    } else {
      const word = /[^\s()";]+|;/y;
      word.lastIndex = at;
      const found = word.exec(source)?.[0] ?? char;
      add({ kind: 'word', word: found, from: at });
      at += found.length;
    }
  }
  if (stack.length !== 1) throw new Error('unbalanced (');
  return stack[0]?.items ?? [];
}

function skipComment(source: string, start: number): number {
  let depth = 0;
  let at = start;
  do {
    if (source.startsWith('(;', at)) {
      depth++;
      at += 2;
    } else if (source.startsWith(';)', at)) {
      depth--;
      at += 2;
    } else if (at++ >= source.length) {
      throw new Error(`the comment at ${start} has no end`);
    }
  } while (depth > 0);
  return at;
}

const ESCAPES: Readonly<Record<string, number>> = { t: 9, n: 10, r: 13, '"': 34, "'": 39, '\\': 92 };

function readText(source: string, start: number): { bytes: Uint8Array; to: number } {
  const bytes: number[] = [];
  let at = start + 1;
  while (source[at] !== '"') {
    if (at >= source.length) throw new Error(`the string at ${start} has no end`);
    if (source[at] !== '\\') {
      bytes.push(source.charCodeAt(at++));
      continue;
    }
    const next = source[at + 1] ?? '';
    const named = ESCAPES[next];
    if (named !== undefined) {
      bytes.push(named);
      at += 2;
    } else if (next === 'u') {
      const end = source.indexOf('}', at);
      const point = Number.parseInt(source.slice(at + 3, end).replaceAll('_', ''), 16);
      bytes.push(...Buffer.from(String.fromCodePoint(point), 'utf8'));
      at = end + 1;
    } else {
      bytes.push(Number.parseInt(source.slice(at + 1, at + 3), 16));
      at += 3;
    }
  }
  return { bytes: Uint8Array.from(bytes), to: at + 1 };
}

export function isList(form: Form | undefined, ...heads: string[]): form is List {
  if (form?.kind !== 'list') return false;
  const head = form.items[0];
  return heads.length === 0 || (head?.kind === 'word' && heads.includes(head.word));
}

export function wordOf(form: Form | undefined): string {
  return form?.kind === 'word' ? form.word : '';
}

/** A string's text, with a character a byte where it is not UTF-8. */
export function textOf(form: Form | undefined): string {
  return form?.kind === 'text' ? Buffer.from(form.bytes).toString('utf8') : '';
}
