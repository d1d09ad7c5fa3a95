/** Messages of a Varlink stream: bytes up to a NUL (varlink.org, "Protocol"). */

/** The stream can't be followed any further: where the next message begins is unknown or past the limit. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

const FIRST_BYTES = 512;
/** A buffer of an ordinary message is kept for the next one; a larger one is given back. */
const KEEP_BYTES = 4096;

/**
 * Cuts a stream into messages, however it was split. Each byte is looked at once and copied at most a few times: a
 * client that sends a message byte by byte, or thousands in one chunk, costs no more than its bytes. An unfinished
 * message is held in one buffer rather than in its chunks, since a chunk of one byte occupies some hundred.
 */
export class FrameReader {
  readonly #maxBytes: number;
  #held: Buffer | undefined;
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Yields each complete message without its NUL; it is valid until the next one is asked for. Throws FrameError where
   * one grows over the limit.
   */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(0, start);
      const part = chunk.subarray(start, end === -1 ? chunk.length : end);
      if (this.#length + part.length > this.#maxBytes) {
        throw new FrameError(`a message has more than the ${this.#maxBytes} bytes allowed`);
      }
      if (end === -1) {
        if (part.length > 0) this.#hold(part);
        return;
      }
      start = end + 1;
      if (this.#length === 0) yield part;
      else {
        const held = this.#hold(part);
        const message = held.subarray(0, this.#length);
        this.#length = 0;
        if (held.length > KEEP_BYTES) this.#held = undefined;
        yield message;
      }
    }
  }

  /** Whether the stream may end here: between two messages. */
  get atBoundary(): boolean {
    return this.#length === 0;
  }

  #hold(part: Uint8Array): Buffer {
    const length = this.#length + part.length;
    let held = this.#held;
    if (held === undefined || held.length < length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, Math.max(FIRST_BYTES, 2 * length)));
      held?.copy(grown, 0, 0, this.#length);
      held = grown;
      this.#held = grown;
    }
    held.set(part, this.#length);
    this.#length = length;
    return held;
  }
}
