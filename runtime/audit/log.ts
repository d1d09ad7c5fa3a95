/**
 * The audit log: one JSON line an attempt, each carrying the sha256 of the line before it, so that a line that was
 * changed, cut out or put in is found (`verify.ts`). That the tail was cut off shows by the number and hash of the last
 * record, which are kept in the state directory. What nothing shows is a log rewritten together with that file: send
 * the log elsewhere if root on this host is not trusted.
 *
 * No fsync: a record must outlive the daemon, not the machine. What it describes is kernel state, which a power loss
 * ends too, and an fsync costs milliseconds a request.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'lossless-json';

/** What the first line of a new chain follows. */
export const GENESIS = '0'.repeat(64);

const TAIL_BYTES = 64 * 1024;

export interface AuditOptions {
  readonly file: string;
  readonly rotateBytes: number;
  /** Rotated files kept beside the current one: FILE.1 is the newest. */
  readonly keepFiles: number;
  /** Where number and hash of the last record are kept beside the log. */
  readonly headFile?: string;
}

export interface AuditHead {
  readonly seq: number;
  /** sha256 of the last line, without its newline. */
  readonly hash: string;
}

export class AuditLog {
  readonly #options: AuditOptions;
  #fd: number;
  #size: number;
  #head: AuditHead;
  readonly #headFd: number | undefined;

  private constructor(options: AuditOptions, fd: number, size: number, head: AuditHead) {
    this.#options = options;
    this.#fd = fd;
    this.#size = size;
    this.#head = head;
    this.#headFd = openHead(options.headFile);
  }

  /** Throws the file system's error where the log can't be opened or its last line not be read. */
  static open(options: AuditOptions): AuditLog {
    mkdirSync(dirname(options.file), { recursive: true, mode: 0o750 });
    let last = readLastLine(options.file);
    // A crash between rotation's rename and the new file's first line: the chain goes on from the rotated one.
    if (last === undefined) last = readLastLine(`${options.file}.1`);
    const fd = openSync(options.file, 'a', 0o640);
    const found = { seq: last?.seq ?? 0, hash: last === undefined ? GENESIS : sha256(last.line) };
    const kept = options.headFile === undefined ? undefined : readHead(options.headFile);
    // The numbers go on behind those that are gone, so that the gap stays visible.
    const seq = Math.max(found.seq, kept?.seq ?? 0);
    const log = new AuditLog(options, fd, fstatSync(fd).size, { seq, hash: found.hash });
    if (last?.partial) log.#closePartial(last.line);
    if (seq > found.seq) log.append({ kind: 'tail-missing', found, kept });
    return log;
  }

  get head(): AuditHead {
    return this.#head;
  }

  /**
   * Writes one record. Nothing of it stays behind where the disk is full: a short write is cut off again, and the
   * error thrown. Returns the record's number.
   */
  append(record: Readonly<Record<string, unknown>>): number {
    const seq = this.#head.seq + 1;
    const line = Buffer.from(
      `${stringify({ seq, time: new Date().toISOString(), prev: this.#head.hash, ...record })}\n`,
    );
    if (this.#size > 0 && this.#size + line.length > this.#options.rotateBytes) this.#rotate();
    this.#write(line);
    this.#head = { seq, hash: sha256(line.subarray(0, -1)) };
    this.#keepHead();
    return seq;
  }

  /** Throws where not even a line's worth of bytes can be written now; leaves the file as it was. */
  probe(): void {
    this.#write(Buffer.alloc(4096, ' '));
    ftruncateSync(this.#fd, this.#size - 4096);
    this.#size -= 4096;
  }

  close(): void {
    closeSync(this.#fd);
    if (this.#headFd !== undefined) closeSync(this.#headFd);
  }

  /** In place, and so in one block. A failure is no fault of the record: a head that is behind accuses nobody. */
  #keepHead(): void {
    if (this.#headFd === undefined) return;
    const { seq, hash } = this.#head;
    try {
      writeSync(this.#headFd, `${seq} ${hash}`.padEnd(HEAD_BYTES - 1).concat('\n'), 0);
    } catch {
      // See above.
    }
  }

  #write(bytes: Uint8Array): void {
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#fd, bytes, written);
    } catch (error) {
      if (written > 0) ftruncateSync(this.#fd, this.#size);
      throw error;
    }
    this.#size += bytes.length;
  }

  #rotate(): void {
    const { file, keepFiles } = this.#options;
    // First what can fail: where no file can be made, none is pushed out either, however often it is tried.
    const next = `${file}.new`;
    const fd = openSync(
      next,
      constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND,
      0o640,
    );
    rmSync(`${file}.${keepFiles}`, { force: true });
    for (let n = keepFiles - 1; n >= 1; n--) {
      if (existsSync(`${file}.${n}`)) renameSync(`${file}.${n}`, `${file}.${n + 1}`);
    }
    renameSync(file, `${file}.1`);
    renameSync(next, file);
    closeSync(this.#fd);
    this.#fd = fd;
    this.#size = 0;
  }

  /** The daemon died in the middle of a line. The stump stays, as a line of its own that the next one accounts for. */
  #closePartial(stump: Buffer): void {
    this.#write(Buffer.from('\n'));
    this.append({ kind: 'recovered', stumpBytes: stump.length });
  }
}

export function auditHeadFile(stateDirectory: string): string {
  return join(stateDirectory, 'audit-head');
}

/** A number of 16 digits, a space, and 64 hex digits; padded, since it is written over. */
const HEAD_BYTES = 96;

function openHead(file: string | undefined): number | undefined {
  if (file === undefined) return undefined;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  return openSync(file, constants.O_RDWR | constants.O_CREAT, 0o640);
}

/** Number and hash of the last record that was written; undefined where none was kept. Throws the file system's error. */
export function readHead(file: string): AuditHead | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const match = /^(\d{1,16}) ([0-9a-f]{64}) *\n/.exec(text);
  return match === null ? undefined : { seq: Number(match[1]), hash: match[2] ?? GENESIS };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

interface LastLine {
  readonly line: Buffer;
  readonly seq: number;
  readonly partial: boolean;
}

/** Reads from the end, in growing pieces: a log of gigabytes opens as quickly as an empty one. */
function readLastLine(file: string): LastLine | undefined {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size } = fstatSync(fd);
    for (let length = Math.min(size, TAIL_BYTES); length > 0; length = Math.min(size, length * 4)) {
      const tail = Buffer.alloc(length);
      readSync(fd, tail, 0, length, size - length);
      const lines = splitLines(tail);
      const complete = length === size;
      const last = lines.at(-1);
      // The stump of a crash carries no number of its own, so the line before it is wanted too.
      if (last !== undefined && (complete || lines.length > 2)) {
        const partial = tail.at(-1) !== 0x0a;
        const numbered = [...lines].reverse().find((line) => seqOf(line) !== undefined);
        return { line: last, seq: (numbered && seqOf(numbered)) ?? 0, partial };
      }
      if (complete) return undefined;
    }
    return undefined;
  } finally {
    closeSync(fd);
  }
}

function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0x0a, start);
    lines.push(bytes.subarray(start, end === -1 ? bytes.length : end));
    if (end === -1) break;
    start = end + 1;
  }
  return lines;
}

function seqOf(line: Buffer): number | undefined {
  const match = /^\{"seq":(\d{1,15}),/.exec(line.subarray(0, 32).toString('latin1'));
  return match === null ? undefined : Number(match[1]);
}
