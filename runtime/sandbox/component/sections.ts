/**
 * The outer structure of a component's binary: enough to find its core modules and what it imports and exports by
 * name (component-model, design/mvp/Binary.md). Everything else is left to the transpiler, which validates it.
 */
import { SandboxError } from '../seam.ts';

/** A component of wit-component has three or four core modules: main, shim, fixups, WASI adapter. */
const MAX_CORE_MODULES = 16;
const MAX_DEPTH = 8;
const MAX_SECTIONS = 100_000;

const CUSTOM = 0;
const CORE_MODULE = 1;
const COMPONENT = 4;
const IMPORT = 10;
const EXPORT = 11;

const PREAMBLE_BYTES = 8;

export interface ComponentOutline {
  /** The component without custom sections (names, producers), which have no meaning and could hold anything. */
  readonly stripped: Uint8Array;
  /** Without their custom sections. */
  readonly coreModules: readonly Uint8Array[];
  /** Names that the outermost component imports and exports, versions included. */
  readonly imports: readonly string[];
  readonly exports: readonly string[];
}

export function outline(component: Uint8Array, plugin: string): ComponentOutline {
  const walk = new Walk(component, plugin);
  const stripped = walk.component(0, component.length, 0);
  return { stripped, coreModules: walk.coreModules, imports: walk.imports, exports: walk.exports };
}

class Walk {
  readonly coreModules: Uint8Array[] = [];
  readonly imports: string[] = [];
  readonly exports: string[] = [];
  readonly #bytes: Uint8Array;
  readonly #plugin: string;
  #sections = 0;

  constructor(bytes: Uint8Array, plugin: string) {
    this.#bytes = bytes;
    this.#plugin = plugin;
  }

  /** Returns the component between `start` and `end` without its custom sections. */
  component(start: number, end: number, depth: number): Uint8Array {
    if (depth > MAX_DEPTH) this.#fail('limit', `components nested deeper than ${MAX_DEPTH}`, start);
    this.#expectPreamble(start, end, [0x0d, 0x00, 0x01, 0x00]);
    const parts: Uint8Array[] = [this.#bytes.subarray(start, start + PREAMBLE_BYTES)];
    this.#eachSection(start + PREAMBLE_BYTES, end, (id, from, to) => {
      if (id === CUSTOM) return;
      if (id === CORE_MODULE) {
        const module = this.#coreModule(from, to);
        this.coreModules.push(module);
        if (this.coreModules.length > MAX_CORE_MODULES) {
          this.#fail('limit', `more than ${MAX_CORE_MODULES} core modules`, from);
        }
        parts.push(section(id, module));
      } else if (id === COMPONENT) {
        parts.push(section(id, this.component(from, to, depth + 1)));
      } else {
        if (depth === 0 && id === IMPORT) this.#names(from, to, this.imports);
        if (depth === 0 && id === EXPORT) this.#names(from, to, this.exports);
        parts.push(section(id, this.#bytes.subarray(from, to)));
      }
    });
    return concat(parts);
  }

  #coreModule(start: number, end: number): Uint8Array {
    this.#expectPreamble(start, end, [0x01, 0x00, 0x00, 0x00]);
    const parts: Uint8Array[] = [this.#bytes.subarray(start, start + PREAMBLE_BYTES)];
    this.#eachSection(start + PREAMBLE_BYTES, end, (id, from, to) => {
      if (id !== CUSTOM) parts.push(section(id, this.#bytes.subarray(from, to)));
    });
    return concat(parts);
  }

  #eachSection(start: number, end: number, visit: (id: number, from: number, to: number) => void): void {
    let at = start;
    while (at < end) {
      if (++this.#sections > MAX_SECTIONS) this.#fail('limit', `more than ${MAX_SECTIONS} sections`, at);
      const id = this.#bytes[at] ?? 0;
      const size = this.#u32(at + 1, end);
      const to = size.next + size.value;
      if (to > end) this.#fail('invalid', `section ${id} of ${size.value} bytes exceeds what holds it`, at);
      visit(id, size.next, to);
      at = to;
    }
  }

  /** The names in an import or export section. Each entry is a name and indices of variable length, which are skipped. */
  #names(start: number, end: number, into: string[]): void {
    const count = this.#u32(start, end);
    let at = count.next;
    for (let index = 0; index < count.value; index++) {
      const kind = this.#bytes[at];
      if (kind !== 0 && kind !== 1) this.#fail('unsupported', `a name of kind ${kind}`, at);
      const length = this.#u32(at + 1, end);
      const to = length.next + length.value;
      if (to > end) this.#fail('invalid', 'a name exceeds its section', at);
      into.push(Buffer.from(this.#bytes.subarray(length.next, to)).toString('utf8'));
      at = into === this.imports ? this.#externDescriptor(to, end) : this.#exported(to, end);
    }
    if (at !== end) this.#fail('invalid', 'the section has bytes after its last entry', at);
  }

  /** sortidx and an optional ascribed type. */
  #exported(start: number, end: number): number {
    const sort = this.#bytes[start];
    const index = this.#u32(sort === 0 ? start + 2 : start + 1, end);
    return this.#bytes[index.next] === 1 ? this.#externDescriptor(index.next + 1, end) : index.next + 1;
  }

  #externDescriptor(start: number, end: number): number {
    switch (this.#bytes[start]) {
      case 0x00: // core module, 0x11 typeidx
        return this.#u32(start + 2, end).next;
      case 0x01: // func
      case 0x04: // component
      case 0x05: // instance
        return this.#u32(start + 1, end).next;
      case 0x03: // type: eq typeidx, or sub resource
        return this.#bytes[start + 1] === 0 ? this.#u32(start + 2, end).next : start + 2;
      default:
        return this.#fail('unsupported', `an import or export of kind ${this.#bytes[start]}`, start);
    }
  }

  #u32(start: number, end: number): { readonly value: number; readonly next: number } {
    let value = 0;
    for (let index = 0; index < 5; index++) {
      const byte = this.#bytes[start + index];
      if (byte === undefined || start + index >= end) break;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80 && value <= 0xffff_ffff) return { value, next: start + index + 1 };
    }
    return this.#fail('invalid', 'a number that is cut short or exceeds 32 bits', start);
  }

  #expectPreamble(start: number, end: number, version: readonly number[]): void {
    const expected = [0x00, 0x61, 0x73, 0x6d, ...version];
    const differs = expected.some((byte, index) => this.#bytes[start + index] !== byte);
    if (end - start < PREAMBLE_BYTES || differs) {
      this.#fail('unsupported', 'neither a core module of version 1 nor a component of version 13', start);
    }
  }

  #fail(reason: SandboxError['reason'], message: string, offset: number): never {
    throw new SandboxError(reason, `${this.#plugin}: ${message}`, offset);
  }
}

function section(id: number, content: Uint8Array): Uint8Array {
  const head = [id];
  let size = content.length;
  do {
    const rest = Math.floor(size / 128);
    head.push((size % 128) + (rest > 0 ? 128 : 0));
    size = rest;
  } while (size > 0);
  return concat([Uint8Array.from(head), content]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
