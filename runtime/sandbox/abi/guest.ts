import { Account } from './account.ts';
import { COSTS } from './costs.ts';

/** Longest string and list that the host takes from a plugin. Far above what a policy needs, far below what memory holds. */
export const MAX_STRING_BYTES = 64 * 1024;
export const MAX_LIST_ELEMENTS = 16 * 1024;

const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const ENCODER = new TextEncoder();
/** Below this, a loop over ASCII beats the call into the encoder. */
const SHORT = 48;

/** What the host needs of an instance to lift and lower. Any of it may trap or run out of fuel. */
export interface GuestExports {
  readonly memory: WebAssembly.Memory;
  readonly realloc: (old: number, oldSize: number, align: number, size: number) => unknown;
  readonly burn: (units: number) => boolean;
}

/**
 * The guest's memory, seen from outside. Every access is checked against the bounds and alignment that the canonical
 * ABI demands, and paid for with fuel *before* it happens; a violation is a `GuestFault` of kind `abi`.
 * All of `memory` is the plugin's to change, while the host isn't reading: nothing read is read twice.
 */
export class Guest extends Account {
  #exports: GuestExports | undefined;
  #view = new DataView(new ArrayBuffer(0));
  #bytes = new Uint8Array(0);
  #buffer: ArrayBufferLike = this.#view.buffer;

  attach(exports: GuestExports): void {
    this.#exports = exports;
    this.refresh();
  }

  /** Before a new instance is made: its start function must not reach the memory of the one before. */
  detach(): void {
    this.#exports = undefined;
  }

  get attached(): boolean {
    return this.#exports !== undefined;
  }

  /** To be called when guest code has run: growing a memory detaches its old buffer. */
  refresh(): void {
    const buffer = this.#attached().memory.buffer;
    if (buffer === this.#buffer) return;
    this.#buffer = buffer;
    this.#view = new DataView(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  /** Throws unless `size` bytes at `ptr` lie in memory and `ptr` is aligned. */
  check(ptr: number, size: number, align: number, what: string): void {
    if (ptr % align !== 0) this.fail('abi', `${what} at ${ptr} is not aligned to ${align}`);
    if (ptr + size > this.#bytes.length) {
      this.fail('abi', `${what} of ${size} bytes at ${ptr} exceeds the memory of ${this.#bytes.length}`);
    }
  }

  u8(ptr: number): number {
    return this.#view.getUint8(ptr);
  }

  u16(ptr: number): number {
    return this.#view.getUint16(ptr, true);
  }

  u32(ptr: number): number {
    return this.#view.getUint32(ptr, true);
  }

  s32(ptr: number): number {
    return this.#view.getInt32(ptr, true);
  }

  u64(ptr: number): bigint {
    return this.#view.getBigUint64(ptr, true);
  }

  setU8(ptr: number, value: number): void {
    this.#view.setUint8(ptr, value);
  }

  setU16(ptr: number, value: number): void {
    this.#view.setUint16(ptr, value, true);
  }

  setU32(ptr: number, value: number): void {
    this.#view.setUint32(ptr, value, true);
  }

  setU64(ptr: number, value: bigint): void {
    this.#view.setBigUint64(ptr, value, true);
  }

  /** Bytes of memory, valid until guest code runs again. */
  bytes(ptr: number, size: number, what: string): Uint8Array {
    this.check(ptr, size, 1, what);
    return this.#bytes.subarray(ptr, ptr + size);
  }

  /** A UTF-8 string of the guest. Invalid UTF-8 is a fault, not a replacement character. */
  string(ptr: number, size: number): string {
    if (size > MAX_STRING_BYTES) {
      this.fail('abi', `a string of ${size} bytes exceeds the ${MAX_STRING_BYTES} that the host takes`);
    }
    this.check(ptr, size, 1, 'a string');
    this.charge(COSTS.string + size * COSTS.byte);
    const bytes = this.#bytes;
    if (size <= SHORT) {
      let text = '';
      let at = 0;
      while (at < size) {
        const byte = bytes[ptr + at] ?? 0x80;
        if (byte >= 0x80) break;
        text += String.fromCharCode(byte);
        at++;
      }
      if (at === size) return text;
    }
    try {
      return DECODER.decode(bytes.subarray(ptr, ptr + size));
    } catch {
      return this.fail('abi', `the string of ${size} bytes at ${ptr} is not valid UTF-8`);
    }
  }

  /** Copies `text` into memory got from the guest. Returns the pointer; its length in bytes is `byteLength(text)`. */
  newString(text: string, size: number): number {
    this.owe(COSTS.string + size * COSTS.byte);
    const ptr = this.allocate(size, 1, 'a string');
    const bytes = this.#bytes;
    if (size === text.length && size <= SHORT) {
      for (let at = 0; at < size; at++) bytes[ptr + at] = text.charCodeAt(at);
    } else if (size > 0) {
      ENCODER.encodeInto(text, bytes.subarray(ptr, ptr + size));
    }
    return ptr;
  }

  /**
   * Calls the guest's `cabi_realloc` for a new block. What it returns is the plugin's word and nothing more: it is
   * checked for bounds and alignment, but may well overlap what the plugin uses, to its own harm only.
   */
  allocate(size: number, align: number, what: string): number {
    // Nothing to store: any aligned pointer but null does, and the guest needn't be entered.
    if (size === 0) return align;
    this.settle();
    this.inRealloc = true;
    // Not reset on a throw: the call is over then, and `begin` of the next resets it.
    const ptr = Number(this.#attached().realloc(0, 0, align, size)) >>> 0;
    this.inRealloc = false;
    this.refresh();
    this.check(ptr, size, align, `what cabi_realloc returned for ${what}`);
    return ptr;
  }

  protected override burn(units: number): boolean {
    return this.#attached().burn(units);
  }

  #attached(): GuestExports {
    if (this.#exports === undefined) throw new Error('no instance attached');
    return this.#exports;
  }
}

/** UTF-8 length. A lone surrogate counts as the three bytes of U+FFFD, which is what the encoder writes. */
export function byteLength(text: string): number {
  return Buffer.byteLength(text);
}
