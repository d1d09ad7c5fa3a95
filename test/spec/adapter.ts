/**
 * Calls a function with arguments and results that JavaScript can't hold: vectors, and NaNs whose bits matter. A module
 * between loads them from memory and stores them there; references are passed through.
 */
import type { FuncType } from '../../runtime/sandbox/inspect/module.ts';
import { Writer } from '../../runtime/sandbox/meter/writer.ts';
import { matchLanes, type Value, writeLanes } from './value.ts';

const SLOT = 16;
const REFERENCES = [0x70, 0x6f];
/** Opcodes of load and store by type, without alignment and offset. */
const LOAD: Readonly<Record<number, readonly number[]>> = {
  127: [0x28],
  126: [0x29],
  125: [0x2a],
  124: [0x2b],
  123: [0xfd, 0x00],
};
const STORE: Readonly<Record<number, readonly number[]>> = {
  127: [0x36],
  126: [0x37],
  125: [0x38],
  124: [0x39],
  123: [0xfd, 0x0b],
};

export class Adapter {
  readonly #type: FuncType;
  readonly #view: DataView;
  readonly #run: (...references: unknown[]) => unknown;

  constructor(func: WebAssembly.ExportFunction, type: FuncType) {
    this.#type = type;
    const module = new WebAssembly.Module(adapterModule(type));
    const { run, memory } = new WebAssembly.Instance(module, { t: { f: func } }).exports;
    if (typeof run !== 'function' || !(memory instanceof WebAssembly.Memory)) throw new Error('no adapter');
    this.#run = run;
    this.#view = new DataView(memory.buffer);
  }

  /** Returns what `expected` does not match, or nothing. May throw what the engine throws. */
  call(args: readonly Value[], expected: readonly Value[] | undefined): string | undefined {
    const references: unknown[] = [];
    args.forEach((arg, index) => {
      if ('ref' in arg) references.push(arg.ref === 'null' ? null : hostReference(Number(arg.ref)));
      else writeLanes(this.#view, index * SLOT, arg.lanes);
    });
    const returned = this.#run(...references);
    if (expected === undefined) return undefined;
    const { params, results } = this.#type;
    if (expected.length !== results.length) return `${results.length} results, ${expected.length} expected`;
    const passed = isIterable(returned) ? [...returned] : [returned];
    for (const [index, value] of expected.entries()) {
      if ('ref' in value) {
        const got = passed.shift();
        const fits =
          value.ref === 'null'
            ? got === null
            : value.ref === 'any'
              ? got !== null
              : got === hostReference(value.ref);
        if (!fits) return `result ${index} is ${String(got)}`;
      } else {
        const at = (params.length + index) * SLOT;
        if (!matchLanes(this.#view, at, value.lanes)) {
          return `result ${index} is ${Buffer.from(this.#view.buffer, at, SLOT).toString('hex')}`;
        }
      }
    }
    return undefined;
  }
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return Array.isArray(value);
}

const hosts = new Map<number, object>();
/** The same object for the same number. */
function hostReference(number: number): object {
  const known = hosts.get(number) ?? { number };
  hosts.set(number, known);
  return known;
}

function adapterModule({ params, results }: FuncType): Uint8Array {
  const out = new Writer(256);
  const isReference = (type: number): boolean => REFERENCES.includes(type);
  const section = (id: number, write: (part: Writer) => void): void => {
    const part = new Writer(64);
    write(part);
    out.u8(id);
    out.u32(part.length);
    out.append(part);
  };
  const types = (part: Writer, list: Uint8Array | readonly number[]): void => {
    part.u32(list.length);
    for (const type of list) part.u8(type);
  };
  for (const byte of [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]) out.u8(byte);
  section(1, (part) => {
    part.u32(2);
    part.u8(0x60);
    types(part, params);
    types(part, results);
    part.u8(0x60);
    types(part, [...params].filter(isReference));
    types(part, [...results].filter(isReference));
  });
  section(2, (part) => {
    part.u32(1);
    part.name('t');
    part.name('f');
    part.u8(0);
    part.u32(0);
  });
  section(3, (part) => types(part, [1]));
  const pages = Math.ceil(((params.length + results.length) * SLOT + 1) / 65536);
  section(5, (part) => {
    part.u32(1);
    part.u8(0);
    part.u32(pages);
  });
  section(7, (part) => {
    part.u32(2);
    part.name('run');
    part.u8(0);
    part.u32(1);
    part.name('memory');
    part.u8(2);
    part.u32(0);
  });
  section(10, (part) => {
    const body = new Writer(256);
    body.u32(results.length);
    for (const type of results) {
      body.u32(1);
      body.u8(type);
    }
    const given = [...params].filter(isReference).length;
    const at = (slot: number): void => {
      body.u8(0x41);
      body.signed(slot * SLOT);
    };
    const code = (bytes: readonly number[] | undefined): void => {
      for (const byte of bytes ?? []) body.u8(byte);
      body.u8(0);
      body.u8(0);
    };
    let reference = 0;
    params.forEach((type, index) => {
      if (isReference(type)) {
        body.u8(0x20);
        body.u32(reference++);
      } else {
        at(index);
        code(LOAD[type]);
      }
    });
    body.u8(0x10);
    body.u32(0);
    for (let index = results.length - 1; index >= 0; index--) {
      body.u8(0x21);
      body.u32(given + index);
    }
    results.forEach((type, index) => {
      if (!isReference(type)) at(params.length + index);
      body.u8(0x20);
      body.u32(given + index);
      if (!isReference(type)) code(STORE[type]);
    });
    body.u8(0x0b);
    part.u32(1);
    part.u32(body.length);
    part.append(body);
  });
  return out.view.slice();
}
