/**
 * The shape of a core module: everything but the code of its functions
 * (https://webassembly.github.io/spec/core/binary/modules.html). What a plugin may not have is refused here, with the
 * offset of the byte that says so. That the module is valid otherwise is for the engine to say.
 */
import { CAPS, type Caps } from './caps.ts';
import { type Feature, refusedFeature } from './opcodes.ts';
import { Reader } from './reader.ts';

export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
} as const;

export const SECTION_NAMES: readonly string[] = Object.keys(SECTION);

/** The order that sections must come in; custom ones may stand anywhere. */
const ORDER = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11];
const EXTERNAL = ['function', 'table', 'memory', 'global'] as const;
export type ExternalKind = (typeof EXTERNAL)[number];

const I32 = 0x7f;
const V128 = 0x7b;
const FUNCREF = 0x70;
const EXTERNREF = 0x6f;

export interface Section {
  readonly id: number;
  /** Offsets in the module: of the section's id, of its content, and behind it. */
  readonly at: number;
  readonly from: number;
  readonly to: number;
  /** Of a custom section. */
  readonly name: string | undefined;
}

export interface FuncType {
  readonly params: Uint8Array;
  readonly results: Uint8Array;
}

export interface Limits {
  /** Offset of the table's or memory's type. */
  readonly at: number;
  readonly imported: boolean;
  readonly initial: number;
  readonly maximum: number | undefined;
}

export interface Table extends Limits {
  readonly element: number;
}

export interface GlobalType {
  readonly imported: boolean;
  readonly type: number;
  readonly mutable: boolean;
}

export interface Import {
  readonly module: string;
  readonly name: string;
  readonly kind: ExternalKind;
  readonly at: number;
}

export interface Export {
  readonly name: string;
  readonly kind: ExternalKind;
  readonly index: number;
  readonly at: number;
}

/** The code of a function: its locals and instructions lie between `from` and `to`. */
export interface Body {
  readonly from: number;
  readonly to: number;
}

export interface ModuleShape {
  readonly bytes: Uint8Array;
  readonly caps: Caps;
  readonly sections: Section[];
  readonly types: FuncType[];
  readonly imports: Import[];
  readonly exports: Export[];
  /** Index of the type of every function, imported ones first. */
  readonly functions: number[];
  readonly importedFunctions: number;
  readonly tables: Table[];
  readonly memories: Limits[];
  readonly globals: GlobalType[];
  readonly start: number | undefined;
  /** The length of every element segment, and the bytes of every data segment. */
  readonly elementSegments: number[];
  readonly dataSegments: number[];
  readonly bodies: Body[];
  /** What the module needs beyond the first version of WebAssembly, with the offset where it shows first. */
  readonly features: Map<Feature, number>;
}

/** Throws `SandboxError` with the offset of what it refuses. */
export function readModule(bytes: Uint8Array, caps: Caps = CAPS): ModuleShape {
  return new ModuleReader(bytes, caps).read();
}

class ModuleReader {
  readonly #in: Reader;
  readonly #caps: Caps;
  readonly #shape: {
    -readonly [Key in keyof ModuleShape]: ModuleShape[Key];
  };

  constructor(bytes: Uint8Array, caps: Caps) {
    this.#in = new Reader(bytes);
    this.#caps = caps;
    this.#shape = {
      bytes,
      caps,
      sections: [],
      types: [],
      imports: [],
      exports: [],
      functions: [],
      importedFunctions: 0,
      tables: [],
      memories: [],
      globals: [],
      start: undefined,
      elementSegments: [],
      dataSegments: [],
      bodies: [],
      features: new Map(),
    };
  }

  read(): ModuleShape {
    const input = this.#in;
    const preamble = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
    if (preamble.some((byte, index) => input.bytes[index] !== byte)) {
      input.fail('invalid', 'not a WebAssembly core module of version 1', 0);
    }
    input.at = preamble.length;
    let last = -1;
    while (!input.done) {
      const at = input.at;
      const id = input.u8();
      const size = input.u32();
      const from = input.at;
      const to = from + size;
      if (to > input.end) input.fail('invalid', `section ${id} of ${size} bytes exceeds the module`, at);
      const section = new Reader(input.bytes, from, to);
      let name: string | undefined;
      if (id === SECTION.custom) {
        name = section.name();
      } else {
        const place = ORDER.indexOf(id);
        if (id === 13) input.fail('unsupported', 'a tag section: exceptions are not supported', at);
        if (place < 0) input.fail('unsupported', `section ${id} is unknown`, at);
        if (place <= last) input.fail('invalid', `section ${id} is repeated or out of order`, at);
        last = place;
        this.#section(id, section);
        if (!section.done) input.fail('invalid', `section ${id} has bytes after its end`, section.at);
      }
      this.#shape.sections.push({ id, at, from, to, name });
      input.at = to;
    }
    const { functions, importedFunctions, bodies } = this.#shape;
    if (functions.length - importedFunctions !== bodies.length) {
      input.fail('invalid', 'as many functions as bodies are needed', input.end);
    }
    return this.#shape;
  }

  #section(id: number, input: Reader): void {
    const caps = this.#caps;
    const shape = this.#shape;
    const each = (what: string, most: number, read: () => void): void => {
      for (let left = input.count(what, most); left > 0; left--) read();
    };
    switch (id) {
      case SECTION.type:
        return each('types', caps.types, () => shape.types.push(this.#funcType(input)));
      case SECTION.import:
        return each('imports', caps.imports, () => this.#import(input));
      case SECTION.function:
        return each('functions', caps.functions, () => shape.functions.push(this.#typeIndex(input)));
      case SECTION.table:
        return each('tables', caps.tables, () => this.#table(input, false));
      case SECTION.memory:
        return each('memories', Infinity, () => this.#memory(input, false));
      case SECTION.global:
        return each('globals', caps.globals, () => {
          shape.globals.push(this.#globalType(input, false));
          this.#constant(input);
        });
      case SECTION.export:
        return each('exports', caps.exports, () => {
          const at = input.at;
          const name = input.name();
          const kind = this.#kind(input);
          const index = input.u32();
          if (kind === 'global' && shape.globals[index]?.mutable) this.#uses('mutable-globals', at);
          shape.exports.push({ name, kind, index, at });
        });
      case SECTION.start:
        shape.start = input.u32();
        return;
      case SECTION.element:
        return each('element segments', caps.elementSegments, () => this.#elements(input));
      case SECTION.dataCount:
        this.#uses('bulk-memory', input.at);
        input.u32();
        return;
      case SECTION.code:
        return each('functions', caps.functions, () => {
          const at = input.at;
          const size = input.u32();
          if (size > caps.functionBytes) {
            input.fail('limit', `a function of ${size} bytes, the limit is ${caps.functionBytes}`, at);
          }
          shape.bodies.push({ from: input.at, to: input.at + size });
          input.skip(size);
        });
      default:
        return each('data segments', caps.dataSegments, () => this.#data(input));
    }
  }

  #funcType(input: Reader): FuncType {
    const at = input.at;
    const form = input.u8();
    if (form !== 0x60) {
      const gc = form >= 0x4e && form <= 0x5f;
      input.fail('unsupported', gc ? 'a type of garbage collection' : `a type of form ${hex(form)}`, at);
    }
    const read = (what: string, most: number): Uint8Array => {
      const types = new Uint8Array(input.count(what, most));
      for (let index = 0; index < types.length; index++) types[index] = this.#valueType(input);
      return types;
    };
    const params = read('parameters', this.#caps.params);
    const resultsAt = input.at;
    const results = read('results', this.#caps.results);
    if (results.length > 1) this.#uses('multi-value', resultsAt);
    return { params, results };
  }

  #valueType(input: Reader): number {
    const at = input.at;
    const type = input.u8();
    if (type === FUNCREF || type === EXTERNREF) this.#uses('reference-types', at);
    else if (type === V128) this.#uses('simd', at);
    else if (type > I32 || type < 0x7c) input.fail('unsupported', `a value type ${hex(type)}`, at);
    return type;
  }

  #typeIndex(input: Reader): number {
    const at = input.at;
    const index = input.u32();
    if (index >= this.#shape.types.length) input.fail('invalid', `type ${index} does not exist`, at);
    return index;
  }

  #kind(input: Reader): ExternalKind {
    const at = input.at;
    const byte = input.u8();
    return EXTERNAL[byte] ?? input.fail('unsupported', `an import or export of kind ${byte}`, at);
  }

  #import(input: Reader): void {
    const at = input.at;
    const module = input.name();
    const name = input.name();
    const kind = this.#kind(input);
    if (kind === 'function') {
      this.#shape.functions.push(this.#typeIndex(input));
      this.#shape.importedFunctions++;
    } else if (kind === 'table') this.#table(input, true);
    else if (kind === 'memory') this.#memory(input, true);
    else {
      const global = this.#globalType(input, true);
      if (global.mutable) this.#uses('mutable-globals', at);
      this.#shape.globals.push(global);
    }
    this.#shape.imports.push({ module, name, kind, at });
  }

  #table(input: Reader, imported: boolean): void {
    const { tables } = this.#shape;
    const at = input.at;
    const element = input.u8();
    if (element !== FUNCREF && element !== EXTERNREF) {
      input.fail('unsupported', `a table of type ${hex(element)}`, at);
    }
    if (tables.length > 0 || element === EXTERNREF) this.#uses('reference-types', at);
    tables.push({ ...this.#limits(input, imported), at, element });
    if (tables.length > this.#caps.tables) {
      input.fail('limit', `more than ${this.#caps.tables} tables`, at);
    }
  }

  #memory(input: Reader, imported: boolean): void {
    const { memories } = this.#shape;
    const at = input.at;
    memories.push(this.#limits(input, imported));
    if (memories.length > 1) input.fail('unsupported', 'a second memory: multi-memory is not supported', at);
  }

  #limits(input: Reader, imported: boolean): Limits {
    const at = input.at;
    const flags = input.u8();
    if (flags & 4) input.fail('unsupported', 'limits of 64 bits: memory64 is not supported', at);
    if (flags & 2) input.fail('unsupported', 'a shared memory: threads are not supported', at);
    if (flags > 1) input.fail('unsupported', `limits with flags ${hex(flags)}`, at);
    const initial = input.u32();
    return { at, imported, initial, maximum: flags === 1 ? input.u32() : undefined };
  }

  #globalType(input: Reader, imported: boolean): GlobalType {
    const type = this.#valueType(input);
    const at = input.at;
    const mutable = input.u8();
    if (mutable > 1) input.fail('unsupported', `a global with flags ${hex(mutable)}`, at);
    return { imported, type, mutable: mutable === 1 };
  }

  /** Steps over a constant expression of one instruction; extended constant expressions are refused. */
  #constant(input: Reader): void {
    const at = input.at;
    const code = input.u8();
    if (code === 0x41) input.skipLeb(5);
    else if (code === 0x42) input.skipLeb(10);
    else if (code === 0x43) input.skip(4);
    else if (code === 0x44) input.skip(8);
    else if (code === 0x23) {
      // Newer engines let a constant read any global ahead of it; the older of those supported here don't.
      if (this.#shape.globals[input.u32()]?.imported !== true) {
        input.fail('unsupported', 'a constant expression that reads a global that is not imported', at);
      }
    } else if (code === 0xd2 || code === 0xd0) {
      this.#uses('reference-types', at);
      if (code === 0xd2) input.u32();
      else this.#referenceType(input);
    } else if (code === 0xfd) {
      const sub = input.u32();
      if (sub !== 12) input.fail('unsupported', `a constant expression with opcode 0xfd ${hex(sub)}`, at);
      this.#uses('simd', at);
      input.skip(16);
    } else if (code !== 0x0b) {
      input.fail('unsupported', `a constant expression with opcode ${hex(code)}`, at);
    } else {
      input.fail('invalid', 'a constant expression without a value', at);
    }
    const endAt = input.at;
    if (input.u8() !== 0x0b) {
      input.fail('unsupported', 'a constant expression of more than one instruction', endAt);
    }
  }

  #referenceType(input: Reader): void {
    const at = input.at;
    const type = input.u8();
    if (type !== FUNCREF && type !== EXTERNREF) {
      input.fail('unsupported', `a reference of type ${hex(type)}`, at);
    }
  }

  #elements(input: Reader): void {
    const at = input.at;
    const flags = input.u32();
    if (flags > 7) input.fail('unsupported', `an element segment with flags ${flags}`, at);
    if (flags !== 0) this.#uses('bulk-memory', at);
    const passive = (flags & 1) !== 0;
    const expressions = (flags & 4) !== 0;
    if (!passive) {
      if (flags & 2) input.u32();
      this.#constant(input);
    }
    if (flags & 3) {
      if (expressions) this.#referenceType(input);
      else if (input.u8() !== 0) input.fail('unsupported', 'elements that are no functions', input.at - 1);
    }
    const count = input.count('elements', this.#caps.elements);
    const total = this.#shape.elementSegments.reduce((sum, one) => sum + one, count);
    if (total > this.#caps.elements) {
      input.fail('limit', `${total} elements in all segments, the limit is ${this.#caps.elements}`, at);
    }
    for (let index = 0; index < count; index++) {
      if (expressions) this.#constant(input);
      else input.u32();
    }
    this.#shape.elementSegments.push(count);
  }

  #data(input: Reader): void {
    const at = input.at;
    const flags = input.u32();
    if (flags > 2) input.fail('unsupported', `a data segment with flags ${flags}`, at);
    if (flags !== 0) this.#uses('bulk-memory', at);
    if (flags === 2) input.u32();
    if (flags !== 1) this.#constant(input);
    const length = input.u32();
    input.skip(length);
    this.#shape.dataSegments.push(length);
  }

  #uses(feature: Feature, at: number): void {
    if (!this.#shape.features.has(feature)) this.#shape.features.set(feature, at);
  }
}

export function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}

/** What a refused opcode is called in a message. */
export function opcodeName(prefix: number | undefined, code: number, key: number): string {
  const written = prefix === undefined ? hex(code) : `${hex(prefix)} ${hex(code)}`;
  return `opcode ${written}: ${refusedFeature(key)} is not supported`;
}
