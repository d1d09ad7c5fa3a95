import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AuditLog } from '../../../runtime/audit/log.ts';
import { auditFiles, verifyAudit } from '../../../runtime/audit/verify.ts';

let directory: string;
let file: string;
const options = (rotateBytes = 1 << 20, keepFiles = 3) => ({ file, rotateBytes, keepFiles });

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'deputy-audit-'));
  file = join(directory, 'log', 'audit.jsonl');
});
afterEach(() => rmSync(directory, { recursive: true }));

function write(count: number, rotateBytes?: number): void {
  const log = AuditLog.open(options(rotateBytes));
  for (let n = 0; n < count; n++) log.append({ verdict: 'allow', bytes: 2n ** 63n - 1n, n });
  log.close();
}

const lines = () => readFileSync(file, 'utf8').trimEnd().split('\n');

describe('the audit log', () => {
  it('chains over restarts and keeps 64-bit numbers', async () => {
    write(2);
    write(3);
    const result = await verifyAudit(auditFiles(file));
    expect(result).toMatchObject({ records: 5, lastSeq: 5, faults: [], complete: true });
    expect(lines()[0]).toContain('"bytes":9223372036854775807');
  });

  it('takes no text of a record for the end of a line', async () => {
    const log = AuditLog.open(options());
    for (const text of ['\u2028', '\u2029', '\u0085', '\r', 'x'.repeat(200_000)]) log.append({ asked: text });
    log.close();
    expect(await verifyAudit(auditFiles(file))).toMatchObject({ records: 5, faults: [] });
  });

  it.each<[string, (lines: string[]) => string[], RegExp]>([
    [
      'a changed record',
      (all) => all.map((line, i) => (i === 2 ? line.replace('allow', 'deny') : line)),
      /record 4 does not follow/,
    ],
    ['a record cut out', (all) => all.filter((_, i) => i !== 2), /record 4 does not follow/],
    [
      'a record put in',
      (all) => [...all.slice(0, 2), all[1] as string, ...all.slice(2)],
      /record 2 does not follow/,
    ],
    ['records exchanged', (all) => [all[1], all[0], ...all.slice(2)] as string[], /does not follow/],
    [
      'a line made unreadable',
      (all) => all.map((line, i) => (i === 2 ? line.slice(0, 20) : line)),
      /no recovery accounts/,
    ],
    ['an unfinished last line', (all) => [...all, '{"seq":6'], /last line is unfinished/],
  ])('finds %s', async (_what, tamper, message) => {
    write(5);
    writeFileSync(file, `${tamper(lines()).join('\n')}\n`);
    const { faults } = await verifyAudit([file]);
    expect(faults.map((fault) => fault.message).join()).toMatch(message);
  });

  it('goes on after a crash in the middle of a line, and accounts for the stump', async () => {
    write(3);
    const whole = readFileSync(file);
    for (const cut of [1, 10, 100]) {
      rmSync(file);
      writeFileSync(file, whole);
      truncateSync(file, whole.length - cut);
      write(1);
      const result = await verifyAudit([file]);
      // Cut by its newline alone, the line is whole: a record, not a stump.
      expect(result.faults, `cut ${cut}`).toEqual([]);
      expect(result.stumps).toBe(cut === 1 ? 0 : 1);
    }
  });

  it('rotates, keeps so many files, and chains across them', async () => {
    write(40, 1000);
    const files = auditFiles(file);
    expect(files.length).toBe(4);
    const result = await verifyAudit(files);
    expect(result.faults).toEqual([]);
    expect(result.lastSeq).toBe(40);
    expect(result.complete).toBe(false);
    write(1, 1000);
    expect((await verifyAudit(auditFiles(file))).lastSeq).toBe(41);
  });

  it('pushes no file out where the next one cannot be made', async () => {
    write(40, 4096);
    const before = auditFiles(file).map((name) => readFileSync(name));
    mkdirSync(`${file}.new`);
    const log = AuditLog.open(options(1));
    for (let n = 0; n < 5; n++) expect(() => log.append({ n })).toThrow(/EISDIR/);
    expect(auditFiles(file).map((name) => readFileSync(name))).toEqual(before);
    rmdirSync(`${file}.new`);
    log.append({ n: 5 });
    log.close();
    const result = await verifyAudit(auditFiles(file));
    expect(result).toMatchObject({ lastSeq: 41, faults: [] });
  });

  it('opens a log whose last line is longer than a read', async () => {
    const log = AuditLog.open(options());
    log.append({ text: 'x'.repeat(300_000) });
    log.close();
    write(1);
    expect(await verifyAudit([file])).toMatchObject({ records: 2, faults: [] });
  });

  it('leaves nothing of a record behind when the disk is full', () => {
    const log = AuditLog.open({ ...options(), file: '/dev/full' });
    expect(() => log.append({ verdict: 'allow' })).toThrow(/ENOSPC/);
    expect(() => log.probe()).toThrow(/ENOSPC/);
    expect(log.head.seq).toBe(0);
    log.close();
  });

  it('a probe leaves the file as it was', () => {
    write(1);
    const before = readFileSync(file);
    const log = AuditLog.open(options());
    log.probe();
    log.close();
    expect(readFileSync(file).equals(before)).toBe(true);
  });
});
