import { CAPS, type Caps } from '../inspect/caps.ts';
import { type Limits, type ModuleShape, readModule, SECTION, type Section } from '../inspect/module.ts';
import { SandboxError, type SandboxLimits } from '../seam.ts';
import { BodyMeter } from './body.ts';
import { Writer } from './writer.ts';

export type MeterLimits = Pick<SandboxLimits, 'fuel' | 'memoryPages' | 'tableElements' | 'callDepth'>;

/** A module with its limits compiled in. All names are of exports that the meter added. */
export interface Metered {
  readonly wasm: Uint8Array;
  readonly shape: ModuleShape;
  /** An i64 global: what is left; below zero once it ran out. */
  readonly fuel: string;
  /** An i32 global: the depth of calls; above the limit once that was met. To be set to zero after a trap. */
  readonly depth: string;
  /** The memory that the module defines, if it does. */
  readonly memory: string | undefined;
  /**
   * The start function, taken from its section: instantiation runs nothing, and the host calls this once the memory
   * and the counters are in its hands.
   */
  readonly start: string | undefined;
  /** Every mutable global of the module's own whose value a host can hold. */
  readonly globals: readonly string[];
  readonly names: ReadonlySet<string>;
  /** Whether memory and those globals are not all that a call may change. */
  readonly replay: boolean;
  /** By function of the module's own: fuel of its code if no branch is taken and nothing is called. */
  readonly straight: readonly number[];
}

/** Exports of a plugin must not begin like this. */
export const RESERVED = 'deputy:meter/';

const I32 = 0x7f;
const I64 = 0x7e;
const V128 = 0x7b;

/**
 * Compiles limits into a core module. Throws `SandboxError` with the offset of what is refused. Globals,
 * exports, types and locals are appended, so no index of the module's own changes. The guest can't name the globals:
 * the caller has the engine validate the module without them too (`prepare` does). An
 * invalid module may come out as another invalid module.
 */
export function meterModule(wasm: Uint8Array, limits: MeterLimits, caps: Caps = CAPS): Metered {
  return new ModuleMeter(readModule(wasm, caps), limits).run();
}

class ModuleMeter {
  readonly #shape: ModuleShape;
  readonly #limits: MeterLimits;
  readonly #out: Writer;
  readonly #part = new Writer(1024);
  /** Types added behind the module's own: no parameters, these results. */
  readonly #resultTypes: Uint8Array[] = [];
  readonly #straight: number[] = [];
  #replay = false;

  constructor(shape: ModuleShape, limits: MeterLimits) {
    this.#shape = shape;
    this.#limits = limits;
    this.#out = new Writer(shape.bytes.length * 2 + 1024);
  }

  run(): Metered {
    const shape = this.#shape;
    const fuel = `${RESERVED}fuel`;
    const depth = `${RESERVED}depth`;
    const memory = shape.memories.some((one) => !one.imported) ? `${RESERVED}memory` : undefined;
    const start = shape.start === undefined ? undefined : `${RESERVED}start`;
    const kept: { name: string; index: number }[] = [];
    shape.globals.forEach(({ imported, mutable, type }, index) => {
      if (imported || !mutable) return;
      if (type === V128) this.#replay = true;
      else kept.push({ name: `${RESERVED}global-${index}`, index });
    });
    for (const { name, at } of shape.exports) {
      if (name.startsWith(RESERVED)) {
        throw new SandboxError(
          'export',
          `the export "${name}" begins with ${RESERVED}, which is reserved`,
          at,
        );
      }
    }
    this.#checkInitial();

    const at = shape.globals.length;
    const added = [
      { name: fuel, kind: 3, index: at },
      { name: depth, kind: 3, index: at + 1 },
      ...(memory === undefined ? [] : [{ name: memory, kind: 2, index: 0 }]),
      ...(start === undefined ? [] : [{ name: start, kind: 0, index: shape.start ?? 0 }]),
      ...kept.map((one) => ({ ...one, kind: 3 })),
    ];
    // Only by the code it's known which types are needed, and they come first.
    const code = this.#code(at);
    this.#out.copy(shape.bytes, 0, 8);
    this.#sections(added, code);
    return {
      wasm: this.#out.view.slice(),
      shape,
      fuel,
      depth,
      memory,
      start,
      globals: kept.map((one) => one.name),
      names: new Set(added.map((one) => one.name)),
      replay: this.#replay,
      straight: this.#straight,
    };
  }

  #sections(added: readonly { name: string; kind: number; index: number }[], code: Writer): void {
    const byId = new Map(this.#shape.sections.map((section) => [section.id, section]));
    const emit = (id: number, write: (section: Section | undefined) => void): void => {
      this.#part.clear();
      write(byId.get(id));
      if (this.#part.length === 0) return;
      this.#out.u8(id);
      this.#out.u32(this.#part.length);
      this.#out.append(this.#part);
    };
    const verbatim = (section: Section | undefined): void => {
      if (section !== undefined) this.#part.copy(this.#shape.bytes, section.from, section.to);
    };
    emit(SECTION.type, (section) =>
      this.#appending(section, this.#resultTypes.length, () => {
        for (const results of this.#resultTypes) {
          this.#part.u8(0x60);
          this.#part.u8(0);
          this.#part.u32(results.length);
          this.#part.copy(results, 0, results.length);
        }
      }),
    );
    emit(SECTION.import, verbatim);
    emit(SECTION.function, verbatim);
    emit(SECTION.table, () => this.#tables());
    emit(SECTION.memory, () => this.#memories());
    emit(SECTION.global, (section) => this.#appending(section, 2, () => this.#counters()));
    emit(SECTION.export, (section) =>
      this.#appending(section, added.length, () => {
        for (const { name, kind, index } of added) {
          this.#part.name(name);
          this.#part.u8(kind);
          this.#part.u32(index);
        }
      }),
    );
    emit(SECTION.element, verbatim);
    emit(SECTION.dataCount, verbatim);
    emit(SECTION.code, (section) => {
      if (section !== undefined) this.#part.append(code);
    });
    emit(SECTION.data, verbatim);
    // Of the custom sections only the names still hold: others (DWARF, source maps) speak of offsets.
    for (const section of this.#shape.sections) {
      if (section.id === SECTION.custom && section.name === 'name')
        emit(SECTION.custom, () => verbatim(section));
    }
  }

  /** The section's own entries, and so many more. */
  #appending(section: Section | undefined, count: number, write: () => void): void {
    if (section === undefined && count === 0) return;
    const { bytes } = this.#shape;
    let own = 0;
    let at = section?.from ?? 0;
    if (section !== undefined) {
      for (let shift = 0; ; shift += 7) {
        const byte = bytes[at++] ?? 0;
        own += (byte & 0x7f) * 2 ** shift;
        if (byte < 0x80) break;
      }
    }
    this.#part.u32(own + count);
    if (section !== undefined) this.#part.copy(bytes, at, section.to);
    write();
  }

  #counters(): void {
    const part = this.#part;
    part.u8(I64);
    part.u8(1);
    part.u8(0x42);
    part.signed64(this.#limits.fuel);
    part.u8(0x0b);
    part.u8(I32);
    part.u8(1);
    part.u8(0x41);
    part.signed(0);
    part.u8(0x0b);
  }

  /** What is there from the start must be within the limits; what is grown to later is clamped. */
  #checkInitial(): void {
    const { memoryPages, tableElements } = this.#limits;
    for (const { at, imported, initial } of this.#shape.memories) {
      if (!imported && initial > memoryPages) {
        throw new SandboxError('limit', `a memory of ${initial} pages, the limit is ${memoryPages}`, at);
      }
    }
    let elements = 0;
    for (const { at, imported, initial } of this.#shape.tables) {
      if (imported) continue;
      elements += initial;
      if (elements > tableElements) {
        throw new SandboxError('limit', `tables of ${elements} elements, the limit is ${tableElements}`, at);
      }
    }
  }

  #tables(): void {
    const own = this.#shape.tables.filter((table) => !table.imported);
    if (own.length === 0) return;
    this.#part.u32(own.length);
    for (const table of own) {
      this.#part.u8(table.element);
      this.#clamped(table, this.#limits.tableElements);
    }
  }

  #memories(): void {
    const own = this.#shape.memories.filter((memory) => !memory.imported);
    if (own.length === 0) return;
    this.#part.u32(own.length);
    for (const memory of own) this.#clamped(memory, this.#limits.memoryPages);
  }

  #clamped({ initial, maximum }: Limits, most: number): void {
    this.#part.u8(1);
    this.#part.u32(initial);
    this.#part.u32(Math.min(maximum ?? most, most));
  }

  #code(globals: number): Writer {
    const { types, functions, importedFunctions, bodies, caps } = this.#shape;
    const out = new Writer(this.#shape.bytes.length * 2 + 64);
    const code = new Writer(4096);
    const whole = new Writer(4096);
    const meter = new BodyMeter(
      {
        shape: this.#shape,
        fuel: globals,
        depth: globals + 1,
        callDepth: this.#limits.callDepth,
        memoryPages: this.#limits.memoryPages,
        tableElements: this.#limits.tableElements,
        blockTypeOf: (results) => this.#blockType(results),
      },
      code,
    );
    let merges = 0;
    out.u32(bodies.length);
    bodies.forEach((body, index) => {
      const type = types[functions[importedFunctions + index] ?? -1];
      if (type === undefined) throw new SandboxError('invalid', 'a function without a type', body.from);
      const facts = meter.rewrite(index, type, out, whole);
      merges += facts.merges;
      if (merges > caps.merges) {
        throw new SandboxError(
          'limit',
          `too much for a compiler: branches times locals exceed ${caps.merges}`,
          body.from,
        );
      }
      this.#straight.push(facts.straight);
      if (facts.changesMore) this.#replay = true;
    });
    return out;
  }

  #blockType(results: Uint8Array): number {
    const same = (other: Uint8Array): boolean => Buffer.compare(other, results) === 0;
    const { types } = this.#shape;
    const own = types.findIndex((type) => type.params.length === 0 && same(type.results));
    if (own >= 0) return own;
    const added = this.#resultTypes.findIndex(same);
    if (added >= 0) return types.length + added;
    this.#resultTypes.push(results);
    return types.length + this.#resultTypes.length - 1;
  }
}
