/** The results of a run: read from the share, printed for people, written for the sum of all suites. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RESULTS_FILE, type Result, type ResultLine, type Table } from '../guest/results.ts';

export interface Report {
  readonly results: readonly Result[];
  readonly tables: readonly Table[];
  /** What is wrong with the run as a whole; each counts as a failure. */
  readonly failures: readonly string[];
}

/** `why` says how the run ended, where it did not end by itself. */
export function readReport(resultsFolder: string, why: string | undefined): Report {
  const results: Result[] = [];
  const tables: Table[] = [];
  const file = join(resultsFolder, RESULTS_FILE);
  if (existsSync(file)) {
    for (const text of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
      const line = JSON.parse(text) as ResultLine;
      if ('result' in line) results.push(line.result);
      else tables.push(line.table);
    }
  }
  const failures: string[] = [];
  if (why !== undefined) failures.push(why);
  const exit = join(resultsFolder, 'exit');
  const code = existsSync(exit) ? readFileSync(exit, 'utf8').trim() : undefined;
  const anyFailed = results.some(({ outcome }) => outcome === 'failed');
  if (code === undefined) failures.push('the guest left no exit code: it died before the end');
  else if (code !== '0' && !anyFailed) failures.push(`the guest's runner ended with code ${code}`);
  if (results.length === 0) failures.push('no case was run');
  return { results, tables, failures };
}

export function count({ results, failures }: Report): { passed: number; failed: number; skipped: number } {
  const of = (wanted: Result['outcome']): number =>
    results.filter(({ outcome }) => outcome === wanted).length;
  return { passed: of('passed'), failed: of('failed') + failures.length, skipped: of('skipped') };
}

export function formatReport(report: Report): string {
  const lines: string[] = [];
  for (const { title, columns, rows } of report.tables) {
    lines.push('', title, ...formatTable([columns, ...rows.map((row) => row.map(String))]));
  }
  lines.push('');
  for (const { suite, name, outcome, message } of report.results) {
    if (outcome === 'failed') lines.push(`FAILED ${suite}: ${name}`, ...indented(message ?? ''));
  }
  for (const failure of report.failures) lines.push(`FAILED ${failure}`);
  const { passed, failed, skipped } = count(report);
  lines.push(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return lines.join('\n');
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => `    ${line}`);
}

function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}
