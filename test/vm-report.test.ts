import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RESULTS_FILE, type Result, type ResultLine } from './vm/guest/results.ts';
import { count, formatReport, readReport } from './vm/host/report.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'deputy-report-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const result = (outcome: Result['outcome']): ResultLine => ({
  result: { suite: 'memlock', name: 'raises', outcome, ms: 1, message: undefined },
});

function guestLeft(lines: readonly ResultLine[], exit: string | undefined): void {
  writeFileSync(join(folder, RESULTS_FILE), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  if (exit !== undefined) writeFileSync(join(folder, 'exit'), exit);
}

describe('the report of a run in the guest', () => {
  it('passes where all passed and the guest said so', () => {
    guestLeft([result('passed'), result('skipped')], '0\n');
    expect(count(readReport(folder, undefined))).toEqual({ passed: 1, failed: 0, skipped: 1 });
  });

  it.each<[string, ResultLine[], string | undefined, string | undefined, RegExp]>([
    ['a case failed', [result('failed')], '1\n', undefined, /FAILED memlock: raises/],
    ['the guest died', [result('passed')], undefined, undefined, /left no exit code/],
    ['it took too long', [result('passed')], undefined, 'longer than 290 s', /longer than 290 s/],
    ['the kernel panicked after the end', [result('passed')], '0\n', 'Kernel panic', /Kernel panic/],
    ['the runner crashed between two cases', [result('passed')], '134\n', undefined, /with code 134/],
    ['nothing was run', [], '0\n', undefined, /no case was run/],
  ])('fails where %s', (_, lines, exit, why, told) => {
    guestLeft(lines, exit);
    const report = readReport(folder, why);
    expect(count(report).failed).toBeGreaterThan(0);
    expect(formatReport(report)).toMatch(told);
  });
});
