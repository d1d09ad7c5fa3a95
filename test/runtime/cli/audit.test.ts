import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AuditLog } from '../../../runtime/audit/log.ts';
import { deputyctl } from './run-here.ts';

let directory: string;
let log: string;
let head: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'deputy-audit-cli-'));
  log = join(directory, 'log/audit.jsonl');
  head = join(directory, 'state/audit-head');
  mkdirSync(join(directory, 'deploy'));
  writeFileSync(
    join(directory, 'deploy/deputy.toml'),
    `version = 1\naudit = { file = "${log}" }\nstate = { directory = "${directory}/state" }\n`,
  );
});
afterEach(() => rmSync(directory, { recursive: true }));

const ctl = (...words: string[]) => deputyctl({}, 'audit', ...words);
const lines = (file = log): string[] => readFileSync(file, 'utf8').trimEnd().split('\n');

/** Six requests, of uids 100 to 102 by turns. */
function write(rotateBytes = 1 << 20): void {
  const audit = AuditLog.open({ file: log, rotateBytes, keepFiles: 9, headFile: head });
  for (let n = 0; n < 6; n++) {
    audit.append({
      kind: 'request',
      verdict: n % 2 === 0 ? 'allow' : 'Denied',
      peer: { uid: 100 + (n % 3), pid: 7 },
      scope: { path: n < 3 ? '/a.slice/x.service' : '/a.slice/xy.service' },
      operation: { tag: n === 5 ? 'move-cgroup' : 'set-memlock' },
      error: n % 2 === 0 ? undefined : { code: 'Denied', message: `no\u001b[2J ${n}` },
      facts: { bytes: 2n ** 63n - 1n },
    });
  }
  audit.close();
}

describe('audit show', () => {
  it('prints a line a record, oldest first, rotated files too', async () => {
    write(600);
    expect(existsSync(`${log}.2`)).toBe(true);
    const { out, code } = await ctl('show', log);
    expect(code).toBe(0);
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[0]),
    ).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(out).toContain('Denied set-memlock uid 101 pid 7 in /a.slice/x.service: no\\u001b[2J 1');
    expect(out).not.toContain('\u001b');
  });

  it.each<[words: string[], seqs: number[]]>([
    [
      ['--verdict', 'Denied'],
      [2, 4, 6],
    ],
    [
      ['--uid', '101'],
      [2, 5],
    ],
    [
      ['--scope', '/a.slice/x.service'],
      [1, 2, 3],
    ],
    [
      ['--scope', '/a.slice/'],
      [1, 2, 3, 4, 5, 6],
    ],
    [['--operation', 'move-cgroup'], [6]],
    [
      ['--last', '2'],
      [5, 6],
    ],
    [['--verdict', 'allow', '--last', '1'], [5]],
    [
      ['--since', '2026-01-01'],
      [1, 2, 3, 4, 5, 6],
    ],
    [['--since', '2999-01-01'], []],
  ])('%j', async (words, seqs) => {
    write();
    const { out } = await ctl('show', log, '--json', ...words);
    expect(
      out
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line).seq),
    ).toEqual(seqs);
  });

  it('keeps 64-bit numbers, names a damaged line and goes on', async () => {
    write();
    const all = lines();
    writeFileSync(log, `${[all[0], 'x', ...all.slice(2)].join('\n')}\n`);
    const { out, err, code } = await ctl('show', log, '--json');
    expect(code).toBe(1);
    expect(err).toBe(`deputyctl: ${log}:2: damaged, left out\n`);
    expect(out.match(/9223372036854775807/g)).toHaveLength(5);
  });

  it.each([
    [['/nonexistent/audit'], 'there is no audit log /nonexistent/audit'],
    [['--config', '/nonexistent'], '/nonexistent has no deputy.toml'],
    [['--last', '0'], 'no number from 1 on'],
    [['--since', 'yesterday'], 'It is no time'],
  ])('refuses %j', async (words, reason) => {
    const { code, err } = await ctl('show', ...words);
    expect(code).toBe(2);
    expect(err).toContain(reason);
  });
});

describe('audit verify', () => {
  const verify = (...words: string[]) => ctl('verify', '--config', join(directory, 'deploy'), ...words);

  it('says what was checked', async () => {
    write(600);
    const { out, code } = await verify();
    expect(code).toBe(0);
    expect(out).toMatch(
      /^6 records in \d files, up to record 6, sha256 [0-9a-f]{64}\nfrom the first record on\nthe daemon's own note is of record 6\ngood\n$/,
    );
    expect((await ctl('verify', log)).out).toContain('whether the end was cut off is not known');
  });

  it.each<[what: string, tamper: (all: string[]) => string[], fault: RegExp]>([
    [
      'the end was cut off',
      (all) => all.slice(0, 4),
      /:4: the last 2 records are missing: the daemon wrote up to record 6/,
    ],
    [
      'the last record was changed',
      (all) => [...all.slice(0, 5), (all[5] as string).replace('7', '8')],
      /:6: record 6 is not the one/,
    ],
    [
      'a record in between was cut out',
      (all) => all.filter((_, n) => n !== 2),
      /:3: record 4 does not follow/,
    ],
  ])('finds that %s', async (_what, tamper, fault) => {
    write();
    writeFileSync(log, `${tamper(lines()).join('\n')}\n`);
    const { out, code } = await verify();
    expect(code).toBe(1);
    expect(out).toMatch(fault);
    expect(JSON.parse((await verify('--json')).out)).toMatchObject({ ok: false, head: { seq: 6 } });
  });

  it('finds that all of it was taken away, once the daemon has gone on', async () => {
    write();
    rmSync(log);
    write();
    const { out, code } = await verify();
    // Numbers go on behind those that are gone, and the first record says so.
    expect(lines()[0]).toContain('"seq":7');
    expect(lines()[0]).toContain('"kind":"tail-missing"');
    expect({ code, rotated: out.includes('earlier records were rotated away') }).toEqual({
      code: 0,
      rotated: true,
    });
  });

  it('finds an end that was cut off and written on', async () => {
    write();
    writeFileSync(log, `${lines().slice(0, 4).join('\n')}\n`);
    write();
    const { out, code } = await verify();
    expect(code).toBe(1);
    expect(out).toMatch(/:5: record 7 follows record 4/);
  });

  it('counts lines by file where the last one is unfinished', async () => {
    write(600);
    const before = lines().length;
    appendFileSync(log, '{"seq":7,"ti');
    const { out, code } = await verify();
    expect(code).toBe(1);
    expect(out).toContain(`${log}:${before + 1}: the last line is unfinished`);
  });

  it('does not accuse where the note is behind: the daemon died between the two writes', async () => {
    write();
    writeFileSync(head, `5 ${'0'.repeat(64)}\n`);
    expect((await verify()).code).toBe(0);
  });

  it('refuses a note that it was told to take and that says nothing', async () => {
    write();
    writeFileSync(head, 'x');
    const { code, err } = await verify('--head', head);
    expect(code).toBe(2);
    expect(err).toContain('it holds no number and hash');
  });
});

it('completes the sub-commands', async () => {
  expect((await deputyctl({}, '__complete', '--', 'audit', '')).out).toBe('show\nverify\n');
  expect((await deputyctl({}, '__complete', '--', 'replay', '--p')).out).toBe('--plugin\n');
});
