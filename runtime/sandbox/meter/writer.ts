/** Bytes to come, growing as they do. */
export class Writer {
  #bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  u8(byte: number): void {
    if (this.length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.length++] = byte;
  }

  u32(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.u8(rest);
  }

  /** Signed LEB128, of safe integers. */
  signed(value: number): void {
    let rest = value;
    for (;;) {
      const low = ((rest % 0x80) + 0x80) % 0x80;
      rest = Math.floor(rest / 0x80);
      if ((rest === 0 && low < 0x40) || (rest === -1 && low >= 0x40)) {
        this.u8(low);
        return;
      }
      this.u8(low | 0x80);
    }
  }

  signed64(value: bigint): void {
    let rest = value;
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40)) {
        this.u8(low);
        return;
      }
      this.u8(low | 0x80);
    }
  }

  name(text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    this.u32(bytes.length);
    this.copy(bytes, 0, bytes.length);
  }

  copy(from: Uint8Array, start: number, end: number): void {
    const count = end - start;
    if (this.length + count > this.#bytes.length) this.#grow(count);
    const to = this.#bytes;
    if (count > 48) {
      to.set(from.subarray(start, end), this.length);
    } else {
      let at = this.length;
      for (let index = start; index < end; index++) to[at++] = from[index] ?? 0;
    }
    this.length += count;
  }

  append(other: Writer): void {
    this.copy(other.#bytes, 0, other.length);
  }

  clear(): void {
    this.length = 0;
  }

  /** A view: valid until the next write. */
  get view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  #grow(count: number): void {
    const bigger = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + count, 64));
    bigger.set(this.#bytes);
    this.#bytes = bigger;
  }
}
