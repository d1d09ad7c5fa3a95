import { SandboxError } from '../seam.ts';

type Reason = SandboxError['reason'];

/** Reads a WebAssembly binary (https://webassembly.github.io/spec/core/binary/), and knows where in it an error lies. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  u8(): number {
    if (this.at >= this.end) this.fail('invalid', 'unexpected end', this.at);
    return this.bytes[this.at++] ?? 0;
  }

  /** LEB128 of 32 bits. Its unused bits are left for the engine to judge, which validates the same bytes. */
  u32(): number {
    const start = this.at;
    let byte = this.u8();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let shift = 7; shift < 35; shift += 7) {
      byte = this.u8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    return this.fail('invalid', 'a number exceeds 32 bits', start);
  }

  /** A count of things that each take a byte or more, and of which only so many are allowed. */
  count(what: string, most: number): number {
    const start = this.at;
    const count = this.u32();
    if (count > most) this.fail('limit', `${count} ${what}, the limit is ${most}`, start);
    if (count > this.end - this.at) this.fail('invalid', `${count} ${what} exceed their section`, start);
    return count;
  }

  /** Steps over a LEB128 of whatever sign. */
  skipLeb(mostBytes: number): void {
    const start = this.at;
    for (let index = 0; index < mostBytes; index++) if (this.u8() < 0x80) return;
    this.fail('invalid', `a number of more than ${mostBytes} bytes`, start);
  }

  skip(bytes: number): void {
    if (bytes > this.end - this.at) this.fail('invalid', 'unexpected end', this.end);
    this.at += bytes;
  }

  /** A vector of bytes that must be UTF-8. */
  name(): string {
    const start = this.at;
    const length = this.u32();
    const from = this.at;
    this.skip(length);
    try {
      return UTF8.decode(this.bytes.subarray(from, this.at));
    } catch {
      return this.fail('invalid', 'a name is not UTF-8', start);
    }
  }

  fail(reason: Reason, message: string, offset: number): never {
    throw new SandboxError(reason, message, offset);
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
