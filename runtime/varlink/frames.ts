/** Messages of a Varlink stream: bytes up to a NUL (varlink.org, "Protocol"). */

/** The stream can't be followed any further: where the next message begins is unknown or past the limit. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/**
 * Cuts a stream into messages, however it was split. Each byte is looked at once: a client that sends a message byte
 * by byte, or thousands in one chunk, costs no more than its bytes.
 */
export class FrameReader {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Yields each complete message without its NUL. Throws FrameError where one grows over the limit. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(0, start);
      const part = chunk.subarray(start, end === -1 ? chunk.length : end);
      this.#length += part.length;
      if (this.#length > this.#maxBytes) {
        throw new FrameError(`a message has more than the ${this.#maxBytes} bytes allowed`);
      }
      this.#parts.push(part);
      if (end === -1) return;
      const message = this.#parts.length === 1 ? part : Buffer.concat(this.#parts, this.#length);
      this.#parts = [];
      this.#length = 0;
      start = end + 1;
      yield message;
    }
  }

  /** Whether the stream may end here: between two messages. */
  get atBoundary(): boolean {
    return this.#length === 0;
  }
}
