import type { Level } from '../../host-api/contract.ts';
import { byteLength } from './abi/guest.ts';
import type { LogLine } from './seam.ts';

/** What a line costs beside its text, so that empty lines end too. */
const LINE_BYTES = 16;

/** Log of one call of the plugin, up to a number of bytes; what goes beyond is dropped, and how much is said. */
export class LogSink {
  readonly #lines: LogLine[] = [];
  #left: number;
  #droppedLines = 0;
  #droppedBytes = 0;

  constructor(capBytes: number) {
    this.#left = capBytes;
  }

  write(level: Level, message: string): void {
    const size = byteLength(message);
    const room = this.#left - LINE_BYTES;
    if (this.#droppedLines > 0 || room < size) {
      // Nothing after the first loss is kept, so that what is kept is a whole beginning.
      const kept = this.#droppedLines > 0 || room <= 0 ? '' : cut(message, room);
      if (kept !== '') this.#lines.push({ level, message: kept });
      this.#droppedLines++;
      this.#droppedBytes += size - byteLength(kept);
      return;
    }
    this.#left -= LINE_BYTES + size;
    this.#lines.push({ level, message });
  }

  lines(): readonly LogLine[] {
    if (this.#droppedLines === 0) return this.#lines;
    const message = `log limit reached: ${this.#droppedBytes} bytes in ${this.#droppedLines} lines dropped`;
    return [...this.#lines, { level: 'warn', message }];
  }
}

/** At most `size` bytes of UTF-8, ending between characters. */
function cut(text: string, size: number): string {
  const bytes = Buffer.from(text);
  let end = size;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
