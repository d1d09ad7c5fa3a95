/** Checks the chain of an audit log, oldest rotated file first. */
import { createReadStream, existsSync } from 'node:fs';
import { parse } from 'lossless-json';
import { type AuditHead, GENESIS, sha256 } from './log.ts';

export interface AuditFault {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export interface Verification {
  readonly files: readonly string[];
  readonly records: number;
  /** Lines a crash left unfinished and the next line accounts for. */
  readonly stumps: number;
  /** The chain's first record is number 1: nothing was rotated away. */
  readonly complete: boolean;
  readonly lastSeq: number;
  readonly lastHash: string;
  readonly faults: readonly AuditFault[];
}

/** FILE and its rotated predecessors, oldest first. */
export function auditFiles(file: string): string[] {
  const files: string[] = [];
  for (let n = 1; existsSync(`${file}.${n}`); n++) files.unshift(`${file}.${n}`);
  return existsSync(file) ? [...files, file] : files;
}

/**
 * Lines end with a newline, and with nothing else: `node:readline` splits at U+2028 too, which a client could put into a
 * record to make the log look damaged.
 */
export async function* auditLines(
  files: readonly string[],
): AsyncGenerator<{ file: string; line: number; text: string }> {
  for (const file of files) {
    let line = 0;
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of createReadStream(file)) {
      const data: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = data.indexOf(0x0a); end !== -1; end = data.indexOf(0x0a, start)) {
        yield { file, line: ++line, text: data.toString('utf8', start, end) };
        start = end + 1;
      }
      rest = data.subarray(start);
    }
    if (rest.length > 0) yield { file, line: ++line, text: rest.toString('utf8') };
  }
}

/** `head`: what the state directory says of the last record; undefined where that is not known. */
export async function verifyAudit(files: readonly string[], head?: AuditHead): Promise<Verification> {
  const faults: AuditFault[] = [];
  let previous: { hash: string; stump: string | undefined } | undefined;
  let at: Omit<AuditFault, 'message'> = { file: files.at(-1) ?? '', line: 1 };
  let records = 0;
  let stumps = 0;
  let lastSeq = 0;
  let firstSeq: number | undefined;
  for await (const { file, line, text } of auditLines(files)) {
    const fault = (message: string): void => {
      faults.push({ file, line, message });
    };
    at = { file, line };
    const hash = sha256(Buffer.from(text));
    const record = parseRecord(text);
    if (record === undefined) {
      if (previous?.stump !== undefined) fault('two damaged lines in a row');
      previous = { hash, stump: text };
      continue;
    }
    if (previous === undefined) {
      if (record.seq === 1 && record.prev !== GENESIS) fault('the first record follows something else');
    } else {
      if (record.prev !== previous.hash) {
        fault(
          `record ${record.seq} does not follow the line before it: something was changed, cut out or put in`,
        );
      }
      if (previous.stump !== undefined) {
        const accounted =
          record.kind === 'recovered' && record.stumpBytes === Buffer.byteLength(previous.stump);
        if (accounted) stumps++;
        else fault('the line before is damaged and no recovery accounts for it');
      }
      // A stump may have been a record with a number of its own.
      const gap = record.seq - lastSeq;
      if (lastSeq !== 0 && gap !== 1 && !(gap === 2 && previous.stump !== undefined)) {
        fault(`record ${record.seq} follows record ${lastSeq}`);
      }
    }
    firstSeq ??= record.seq;
    lastSeq = record.seq;
    records++;
    previous = { hash, stump: undefined };
  }
  if (previous?.stump !== undefined) faults.push({ ...at, message: 'the last line is unfinished' });
  if (head !== undefined && head.seq > lastSeq) {
    const missing = head.seq - lastSeq;
    faults.push({
      ...at,
      message: `${missing === 1 ? 'the last record is' : `the last ${missing} records are`} missing: the daemon wrote up to record ${head.seq}`,
    });
  } else if (head !== undefined && head.seq === lastSeq && head.hash !== previous?.hash) {
    faults.push({ ...at, message: `record ${lastSeq} is not the one that the daemon wrote` });
  }
  return {
    files,
    records,
    stumps,
    complete: firstSeq === 1,
    lastSeq,
    lastHash: previous?.hash ?? GENESIS,
    faults,
  };
}

interface Chained {
  readonly seq: number;
  readonly prev: string;
  readonly kind: unknown;
  readonly stumpBytes: unknown;
}

function parseRecord(text: string): Chained | undefined {
  let value: unknown;
  try {
    value = parse(text, undefined, Number);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { seq, prev, kind, stumpBytes } = value as Record<string, unknown>;
  return typeof seq === 'number' && typeof prev === 'string' ? { seq, prev, kind, stumpBytes } : undefined;
}
