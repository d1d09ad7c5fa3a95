/** `npm run test:spec`: the official WebAssembly test suite, on the engine alone and with the meter, side by side. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Command } from 'commander';
import { compareScript, type Report } from './compare.ts';

const DEFAULT_FOLDER = resolve(import.meta.dirname, '../../../shared/wasm-testsuite');
const SUITE = 'https://github.com/WebAssembly/testsuite';
const EXIT_FAILED = 1;
const EXIT_SETUP = 2;

const program = new Command('test:spec')
  .description(
    'Runs every .wast file of a folder plain and metered, and demands the same end of every command.',
  )
  .argument('[folder]', 'a copy of the WebAssembly test suite', DEFAULT_FOLDER)
  .option('--filter <regex>', 'only files whose name matches', '')
  .option('--json <file>', 'write {"passed":N,"failed":N,"skipped":N} there')
  .option('--verbose', 'print every failure, and not 40 of them', false)
  .parse();
const options = program.opts<{ filter: string; json?: string; verbose: boolean }>();
const folder = program.args[0] ?? DEFAULT_FOLDER;

process.exitCode = await main();

async function main(): Promise<number> {
  const filter = new RegExp(options.filter);
  const files = existsSync(folder)
    ? readdirSync(folder).filter((name) => name.endsWith('.wast') && filter.test(name))
    : [];
  if (files.length === 0) {
    console.error(
      `test:spec: no .wast file${options.filter && ` that matches ${options.filter}`} in ${folder}`,
    );
    console.error(`  remedy: git clone ${SUITE} and give its folder: npm run test:spec -- FOLDER`);
    return EXIT_SETUP;
  }
  const startMs = performance.now();
  const report: Report = { counts: new Map(), failures: [], skips: new Map() };
  for (const [index, name] of files.sort().entries()) {
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${index + 1}/${files.length} ${name}`);
    try {
      await compareScript(basename(name), readFileSync(join(folder, name)), report);
    } catch (error) {
      report.failures.push(
        `${name}: can't be read: ${error instanceof Error ? error.message : String(error)}`,
      );
      const counts = report.counts.get('file') ?? { passed: 0, failed: 0, skipped: 0 };
      report.counts.set('file', { ...counts, failed: counts.failed + 1 });
    }
  }
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  return print(report, files.length, (performance.now() - startMs) / 1000);
}

function print(report: Report, files: number, seconds: number): number {
  for (const failure of options.verbose ? report.failures : report.failures.slice(0, 40))
    console.log(failure);
  const total = { passed: 0, failed: 0, skipped: 0 };
  console.log(
    `${'command'.padEnd(14)}${'the same'.padStart(10)}${'failed'.padStart(10)}${'left out'.padStart(10)}`,
  );
  for (const [kind, { passed, failed, skipped }] of [...report.counts].sort()) {
    const cells = [passed, failed, skipped].map((count) => String(count).padStart(10));
    console.log(`${kind.padEnd(14)}${cells.join('')}`);
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
  for (const [why, count] of [...report.skips].sort((a, b) => b[1] - a[1]))
    console.log(`left out ${count}: ${why}`);
  console.log(
    `${files} files in ${seconds.toFixed(1)} s on Node ${process.versions.node}: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`,
  );
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(total)}\n`);
  return total.failed > 0 || total.passed === 0 ? EXIT_FAILED : 0;
}
