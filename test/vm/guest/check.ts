/**
 * The runner of the guest: one Node process for all cases, since starting one takes seconds here. A case file calls
 * `check` once for each thing it proves; checks run one after another, in the order they stand.
 */
import { type Outcome, type Table, writeResult, writeTable } from './results.ts';

type Run = () => void | Promise<void>;

interface Check {
  readonly suite: string;
  readonly name: string;
  readonly run: Run;
  readonly timeoutMs: number;
}

const checks: Check[] = [];
let cleanups: Run[] = [];
let suite = '';

export function beginSuite(name: string): void {
  suite = name;
}

/** Registers a case. One that takes longer than `timeoutMs` has failed. */
export function check(name: string, run: Run, timeoutMs = 60_000): void {
  checks.push({ suite, name, run, timeoutMs });
}

/** Runs when the check that is running ends, however it ends; the latest first. */
export function after(run: Run): void {
  cleanups.push(run);
}

class Skip extends Error {}

/** Ends the check that is running as one that can't be run here. */
export function skip(reason: string): never {
  throw new Skip(reason);
}

/** A table for the report, besides passed and failed. */
export function show(table: Table): void {
  writeTable(table);
}

/** Whether all passed. */
export async function runChecks(filter: RegExp): Promise<boolean> {
  let allPassed = true;
  for (const { suite, name, run, timeoutMs } of checks) {
    if (!filter.test(`${suite}: ${name}`)) continue;
    const startMs = performance.now();
    const [outcome, message] = await settle(run, timeoutMs);
    const [cleanOutcome, cleanMessage] = await settle(cleanUp, 20_000);
    const failed = outcome === 'failed' || cleanOutcome === 'failed';
    allPassed &&= !failed;
    writeResult({
      suite,
      name,
      outcome: failed ? 'failed' : outcome,
      ms: Math.round(performance.now() - startMs),
      message: message ?? (cleanMessage && `cleaning up: ${cleanMessage}`),
    });
  }
  return allPassed;
}

async function cleanUp(): Promise<void> {
  const failures: unknown[] = [];
  for (const run of cleanups.splice(0).reverse()) {
    try {
      await run();
    } catch (error) {
      failures.push(error);
    }
  }
  cleanups = [];
  if (failures.length > 0) throw failures[0];
}

async function settle(run: Run, timeoutMs: number): Promise<[Outcome, string | undefined]> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([Promise.resolve().then(run), timeout]);
    return ['passed', undefined];
  } catch (error) {
    if (error instanceof Skip) return ['skipped', error.message];
    return ['failed', error instanceof Error ? (error.stack ?? error.message) : String(error)];
  } finally {
    clearTimeout(timer);
  }
}
