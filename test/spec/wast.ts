/** Reads a script of the WebAssembly test suite (https://github.com/WebAssembly/spec/tree/main/interpreter#scripts). */
import { parse } from '@bytecodealliance/jco';
import { readModule, SECTION } from '../../runtime/sandbox/inspect/module.ts';
import { Reader } from '../../runtime/sandbox/inspect/reader.ts';
import { type Form, isList, type List, readForms, textOf, wordOf } from './s-expression.ts';
import { isValue, type ReadFloat, readValue, type Value } from './value.ts';

export type Module =
  | { readonly wasm: Uint8Array }
  /** What the assembler has against the text. */
  | { readonly malformed: string };

export type Action =
  | {
      readonly kind: 'invoke';
      readonly module: string;
      readonly name: string;
      readonly args: readonly Value[];
    }
  | { readonly kind: 'get'; readonly module: string; readonly name: string };

export type Command = { readonly line: number } & (
  | { readonly kind: 'module'; readonly name: string; readonly module: Module }
  | { readonly kind: 'register'; readonly as: string; readonly name: string }
  | { readonly kind: 'action'; readonly action: Action }
  | { readonly kind: 'return'; readonly action: Action; readonly expected: readonly Value[] }
  | { readonly kind: 'trap' | 'exhaustion'; readonly action: Action; readonly text: string }
  | {
      readonly kind: 'trap-module' | 'invalid' | 'unlinkable';
      readonly module: Module;
      readonly text: string;
    }
  /** `text`: of the text format, and no matter for an engine. */
  | { readonly kind: 'malformed'; readonly module: Module | 'text'; readonly text: string }
  | { readonly kind: 'unknown'; readonly head: string }
);

const COMMANDS = ['module', 'register', 'invoke', 'get', 'assert_'];

export async function readScript(source: Buffer): Promise<Command[]> {
  const latin1 = source.toString('latin1');
  const forms = readForms(latin1);
  // A file may be the inside of one module.
  const bare = forms.some((form) => !COMMANDS.some((head) => headOf(form).startsWith(head)));
  if (bare) return [{ line: 1, kind: 'module', name: '', module: await assemble(`(module ${latin1})`) }];
  const float = await readFloats(forms);
  const lines = lineStarts(latin1);
  const commands: Command[] = [];
  for (const form of forms) {
    if (!isList(form)) continue;
    const line = lines.findLastIndex((start) => start <= form.from) + 1;
    commands.push({ line, ...(await readCommand(form, latin1, float)) } as Command);
  }
  return commands;
}

function headOf(form: Form): string {
  return isList(form) ? wordOf(form.items[0]) : '';
}

async function readCommand(form: List, source: string, float: ReadFloat): Promise<object> {
  const head = headOf(form);
  const [, first, second] = form.items;
  const module = (): Promise<Module> => readModuleForm(first, source);
  switch (head) {
    case 'module': {
      const name = first?.kind === 'word' && first.word.startsWith('$') ? first.word : '';
      return { kind: 'module', name, module: await readModuleForm(form, source) };
    }
    case 'register':
      return { kind: 'register', as: textOf(first), name: wordOf(second) };
    case 'invoke':
    case 'get':
      return { kind: 'action', action: readAction(form, float) };
    case 'assert_return':
      return {
        kind: 'return',
        action: readAction(first, float),
        expected: form.items
          .slice(2)
          .filter(isValue)
          .map((value) => readValue(value, float)),
      };
    case 'assert_trap':
      if (isList(first, 'module'))
        return { kind: 'trap-module', module: await module(), text: textOf(second) };
      return { kind: 'trap', action: readAction(first, float), text: textOf(second) };
    case 'assert_exhaustion':
      return { kind: 'exhaustion', action: readAction(first, float), text: textOf(second) };
    case 'assert_invalid':
      return { kind: 'invalid', module: await module(), text: textOf(second) };
    case 'assert_unlinkable':
      return { kind: 'unlinkable', module: await module(), text: textOf(second) };
    case 'assert_malformed': {
      const binary = isList(first) && first.items.some((item) => wordOf(item) === 'binary');
      return { kind: 'malformed', module: binary ? await module() : 'text', text: textOf(second) };
    }
    default:
      return { kind: 'unknown', head };
  }
}

function readAction(form: Form | undefined, float: ReadFloat): Action {
  if (!isList(form)) throw new Error('no action');
  const named = form.items[1]?.kind === 'word';
  const module = named ? wordOf(form.items[1]) : '';
  const name = textOf(form.items[named ? 2 : 1]);
  if (headOf(form) === 'get') return { kind: 'get', module, name };
  const args = form.items.filter(isValue).map((value) => readValue(value, float));
  return { kind: 'invoke', module, name, args };
}

async function readModuleForm(form: Form | undefined, source: string): Promise<Module> {
  if (!isList(form)) throw new Error('no module');
  const kind = form.items.find((item) =>
    ['binary', 'quote', 'definition', 'instance'].includes(wordOf(item)),
  );
  const bytes = Buffer.concat(form.items.flatMap((item) => (item.kind === 'text' ? [item.bytes] : [])));
  if (wordOf(kind) === 'binary') return { wasm: bytes };
  if (wordOf(kind) === 'quote') return assemble(`(module ${bytes.toString('latin1')})`);
  if (kind !== undefined && form.items.indexOf(kind) === 1) throw new Error(`a module ${wordOf(kind)}`);
  return assemble(source.slice(form.from, form.to));
}

/**
 * `text` is one character a byte. Beyond ASCII there are strings and comments only, and the assembler refuses some
 * characters there as misleading to the reader: it gets them as escapes.
 */
async function assemble(text: string): Promise<Module> {
  const ascii = text.replace(/[\x80-\xff]/g, (char) => `\\${char.charCodeAt(0).toString(16)}`);
  try {
    return { wasm: await parse(ascii) };
  } catch (error) {
    return { malformed: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Float literals are read by the assembler too (hexadecimal, and rounded once): a module has them all as the values
 * of its globals, where their bits can be taken from the binary.
 */
async function readFloats(forms: readonly Form[]): Promise<ReadFloat> {
  const literals = new Set<string>();
  const visit = (form: Form): void => {
    if (form.kind !== 'list' || headOf(form) === 'module') return;
    const [head, shape, ...rest] = form.items.map(wordOf);
    const add = (type: string, word: string): unknown =>
      /nan:[ac]/.test(word) || literals.add(`${type} ${word}`);
    if (head === 'f32.const' || head === 'f64.const') add(head.slice(0, 3), shape ?? '');
    else if (head === 'v128.const' && shape?.startsWith('f'))
      for (const word of rest) add(shape.slice(0, 3), word);
    else form.items.forEach(visit);
  };
  forms.forEach(visit);
  const bits = new Map<string, bigint>();
  if (literals.size > 0) {
    const globals = [...literals].map(
      (one) => `(global ${one.slice(0, 3)} (${one.slice(0, 3)}.const ${one.slice(4)}))`,
    );
    const wasm = await parse(`(module ${globals.join('\n')})`);
    const none = { types: 0, params: 0, results: 0, imports: 0, exports: 0, functions: 0, tables: 0 };
    const caps = { ...none, globals: Infinity, elementSegments: 0, elements: 0, dataSegments: 0 };
    const { sections } = readModule(wasm, {
      ...caps,
      functionBytes: 0,
      locals: 0,
      frameSlots: 0,
      nesting: 0,
      branchTargets: 0,
      merges: 0,
    });
    const section = sections.find((one) => one.id === SECTION.global);
    const reader = new Reader(wasm, section?.from, section?.to);
    reader.u32();
    for (const literal of literals) {
      reader.skip(3);
      const view = new DataView(wasm.buffer, wasm.byteOffset + reader.at);
      const single = literal.startsWith('f32');
      bits.set(literal, single ? BigInt(view.getUint32(0, true)) : view.getBigUint64(0, true));
      reader.skip(single ? 5 : 9);
    }
  }
  return (type, literal) => {
    const found = bits.get(`${type} ${literal}`);
    if (found === undefined) throw new Error(`the literal ${type} ${literal} has not been read`);
    return found;
  };
}

function lineStarts(source: string): number[] {
  const starts = [0];
  for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}
