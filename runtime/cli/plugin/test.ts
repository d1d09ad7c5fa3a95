import { existsSync, watch } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { Command } from 'commander';
import { describeEffect } from '../../broker/write-outcome.ts';
import type { Decision } from '../../sandbox/seam.ts';
import { count } from '../describe-reply.ts';
import { EXIT, Failure } from '../exit-code.ts';
import { printable, type Terminal } from '../terminal.ts';
import { build } from './build.ts';
import { DEFAULT_FACTS } from './case-values.ts';
import { type Case, readCases } from './cases.ts';
import { languageOf, SOURCES } from './languages.ts';
import { loadProject, openProject, type Project, readManifest } from './project.ts';

interface TestOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
  readonly build: boolean;
  readonly defaults?: boolean;
}

export function testCommand(terminal: Terminal): Command {
  return new Command('test')
    .description('run the cases beside a plugin')
    .argument('[dir]', 'folder of the plugin', '.')
    .option('--watch', 'again whenever a file of the folder changes')
    .option('--no-build', 'take the .wasm as it is, though its source is there')
    .option('--defaults', 'print the facts that cases start from, and run nothing')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
cases.toml holds [[case]] tables: a name, one of set_memlock, move_cgroup and set_scheduler, facts that differ from
[facts], and what is expected: a verdict, a part of the reason, the effects, max_fuel. The plugin runs as in the daemon:
metered, under the ceilings and with the settings of its manifest. Exits with 1 where a case fails.

Example:
  deputyctl plugin test my-policy --watch`,
    )
    .action(async (directory: string, options: TestOptions) => {
      if (options.defaults === true) return terminal.printJson(DEFAULT_FACTS);
      const project = openProject(directory);
      if (options.watch === true) return watchAndTest(project, options, terminal);
      if (!(await test(project, options, terminal))) terminal.exitCode = EXIT.refused;
    });
}

interface Result {
  readonly name: string;
  readonly place: string;
  readonly ok: boolean;
  readonly verdict: string;
  readonly reason: string | undefined;
  readonly effects: readonly string[];
  readonly fuelUsed: bigint;
  readonly problems: readonly string[];
}

async function test(project: Project, options: TestOptions, terminal: Terminal): Promise<boolean> {
  const json = options.json === true;
  const { cases, groups } = readCases(project.casesFile);
  if (options.build && languageOf(project.directory) !== undefined) await build(project, terminal, json);
  if (!existsSync(project.wasmFile)) {
    throw new Failure(
      EXIT.usage,
      `${project.wasmFile} does not exist, and there is no source to build it from (${SOURCES})`,
    );
  }
  const { plugin, ceilings, fuelLimit } = await loadProject(project, readManifest(project));
  const known = new Set(groups ?? ceilings.cgroup?.groups ?? []);
  const results = cases.map((one): Result => {
    const decision = plugin.decide({ facts: one.facts, operation: one.operation, ceilings, groups: known });
    const { verdict, effects, fuelUsed } = decision;
    const problems = compare(one, decision);
    return {
      name: one.name,
      place: one.place,
      ok: problems.length === 0,
      verdict: decision.fault === undefined ? verdict.tag : `fault (${decision.fault.kind})`,
      reason: verdict.tag === 'deny' ? verdict.val : undefined,
      effects: effects.map(describeEffect),
      fuelUsed,
      problems,
    };
  });
  const bad = results.filter(({ ok }) => !ok).length;
  if (json) terminal.printJson({ plugin: project.name, ok: bad === 0, fuelLimit, results });
  else terminal.print(printable(table(results, fuelLimit)));
  return bad === 0;
}

/** What differs from the expectation; empty where all is as expected. */
function compare({ expect }: Case, { verdict, effects, fuelUsed, fault }: Decision): string[] {
  const problems: string[] = [];
  const reason = verdict.tag === 'deny' ? verdict.val : '';
  if (verdict.tag !== expect.verdict) {
    problems.push(`expected ${expect.verdict}, got ${verdict.tag}${reason === '' ? '' : `: ${reason}`}`);
  } else if (expect.reason !== undefined && !reason.includes(expect.reason)) {
    problems.push(`expected a reason with ${JSON.stringify(expect.reason)}, got ${JSON.stringify(reason)}`);
  }
  if (fault?.kind !== expect.fault) {
    problems.push(
      fault === undefined
        ? `expected the fault ${expect.fault}, and there was none`
        : `a fault, ${fault.kind}: ${fault.message}`,
    );
  }
  if (expect.effects !== undefined && !isDeepStrictEqual(plain(effects), plain(expect.effects))) {
    const list = (those: Decision['effects']): string => those.map(describeEffect).join('; ') || 'none';
    problems.push(`expected effects: ${list(expect.effects)}; got: ${list(effects)}`);
  }
  if (expect.max_fuel !== undefined && fuelUsed > BigInt(expect.max_fuel)) {
    problems.push(`took ${fuelUsed} units of fuel, more than ${expect.max_fuel}`);
  }
  return problems;
}

/** Absent and undefined are the same here. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (item === undefined ? [] : [[key, plain(item)]])),
  );
}

function table(results: readonly Result[], fuelLimit: bigint): string {
  const nameWidth = Math.max(...results.map(({ name }) => name.length));
  const verdictWidth = Math.max(...results.map(({ verdict }) => verdict.length));
  const fuelWidth = Math.max(...results.map(({ fuelUsed }) => `${fuelUsed}`.length), 4);
  const rows = results.flatMap(({ ok, name, verdict, fuelUsed, reason, effects, place, problems }) => [
    `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(nameWidth)}  ${verdict.padEnd(verdictWidth)}  ${`${fuelUsed}`.padStart(fuelWidth)}  ${reason ?? effects.join('; ')}`.trimEnd(),
    ...problems.map((problem) => `      ${place}: ${problem}`),
  ]);
  const verdicts = ['allow', 'deny', 'pass'].flatMap((tag) => {
    const those = results.filter(({ verdict }) => verdict === tag);
    const reasons = new Set(those.map(({ reason }) => reason)).size;
    return those.length === 0
      ? []
      : [`${those.length} ${tag}${tag === 'deny' ? ` (${count(reasons, 'different reason')})` : ''}`];
  });
  const bad = results.filter(({ ok }) => !ok).length;
  const most = results.reduce((sum, { fuelUsed }) => (fuelUsed > sum ? fuelUsed : sum), 0n);
  return [
    `      ${'case'.padEnd(nameWidth)}  ${'verdict'.padEnd(verdictWidth)}  ${'fuel'.padStart(fuelWidth)}  reason or effects`,
    ...rows,
    `${count(results.length, 'case')}: ${results.length - bad} passed, ${bad} failed; ${verdicts.join(', ')}; at most ${most} of ${fuelLimit} fuel`,
  ].join('\n');
}

const SETTLE_MS = 100;

/** Until interrupted. Only sources count: the build writes into the same folder. */
async function watchAndTest(project: Project, options: TestOptions, terminal: Terminal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  let again = false;
  const run = async (): Promise<void> => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      await test(project, options, terminal);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      terminal.complain(printable(error.message));
    }
    running = false;
    if (again) {
      again = false;
      await run();
    }
  };
  await run();
  const manifest = `${project.name}.toml`;
  let pinned = digestless(project);
  for (const event of ['SIGINT', 'SIGTERM'] as const) process.once(event, () => process.exit(EXIT.ok));
  watch(project.directory, (_event, name) => {
    if (name === null || name.endsWith('.wasm') || name.endsWith('.tmp')) return;
    // The build pins the digest, which changes the manifest and nothing of the policy.
    if (name === manifest) {
      const now = digestless(project);
      if (now === pinned) return;
      pinned = now;
    }
    clearTimeout(timer);
    timer = setTimeout(() => void run(), SETTLE_MS);
  });
  await new Promise(() => {});
}

function digestless(project: Project): string {
  try {
    return JSON.stringify({ ...readManifest(project).value, sha256: '' }, (_key, value) =>
      typeof value === 'bigint' ? `${value}` : value,
    );
  } catch {
    return '';
  }
}
