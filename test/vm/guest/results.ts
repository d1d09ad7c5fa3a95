/** What the guest hands to the host: one JSON line a result, on the share, and a line for people on the console. */
import { appendFileSync } from 'node:fs';

export type Outcome = 'passed' | 'failed' | 'skipped';

export interface Result {
  readonly suite: string;
  readonly name: string;
  readonly outcome: Outcome;
  readonly ms: number;
  /** Why it failed or was skipped. */
  readonly message: string | undefined;
}

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export type ResultLine = { readonly result: Result } | { readonly table: Table };

export const RESULTS_FILE = 'results.jsonl';

function append(line: ResultLine): void {
  appendFileSync(`/results/${RESULTS_FILE}`, `${JSON.stringify(line)}\n`);
}

export function writeResult(result: Result): void {
  append({ result });
  const { suite, name, outcome, ms, message } = result;
  const mark = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[outcome];
  say(`${mark} ${suite}: ${name} (${ms} ms)`);
  if (message !== undefined) for (const line of message.split('\n')) say(`       ${line}`);
}

export function writeTable(table: Table): void {
  append({ table });
}

/** The host shows lines that begin so; all others stay in the log. */
export function say(line: string): void {
  process.stdout.write(`= ${line}\n`);
}
