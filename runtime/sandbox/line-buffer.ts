import type { Level } from '../../host-api/contract.ts';
import type { LogSink } from './log-sink.ts';

/** A line longer than this is logged in pieces, so that no unfinished line grows without end. */
const MAX_LINE_BYTES = 4096;
const NEWLINE = 0x0a;

/** What a plugin writes to stdout or stderr, cut into log lines. Bytes that are no UTF-8 become U+FFFD. */
export class LineBuffer {
  readonly #log: LogSink;
  readonly #level: Level;
  readonly #line = Buffer.alloc(MAX_LINE_BYTES);
  #length = 0;

  constructor(log: LogSink, level: Level) {
    this.#log = log;
    this.#level = level;
  }

  write(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (byte === NEWLINE || this.#length === MAX_LINE_BYTES) this.#end();
      if (byte !== NEWLINE) this.#line[this.#length++] = byte;
    }
  }

  /** Logs an unfinished last line. */
  flush(): void {
    if (this.#length > 0) this.#end();
  }

  #end(): void {
    this.#log.write(this.#level, this.#line.toString('utf8', 0, this.#length));
    this.#length = 0;
  }
}
