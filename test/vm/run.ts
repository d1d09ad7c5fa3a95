/** `npm run test:vm`: the cases on a real kernel, in QEMU. See test/vm/README.md. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Command } from 'commander';
import { boot } from './host/boot.ts';
import { BUILD, compile, PROJECT } from './host/compile.ts';
import { buildInitramfs } from './host/initramfs.ts';
import { provideKernel } from './host/kernel.ts';
import { count, formatReport, readReport } from './host/report.ts';
import { assertTools, SetupError } from './host/tools.ts';

interface Options {
  readonly filter: string;
  readonly json?: string;
  readonly shell: boolean;
  readonly refreshKernel: boolean;
  readonly timeout: string;
  readonly verbose: boolean;
}

const EXIT_FAILED = 1;
const EXIT_SETUP = 2;

async function main(): Promise<number> {
  const program = new Command('test:vm')
    .description('Runs the cases of test/vm on a real kernel, in QEMU without KVM.')
    .option('--filter <regex>', 'only cases whose "suite: name" matches', '')
    .option('--json <file>', 'write {"passed":N,"failed":N,"skipped":N} there')
    .option('--shell', 'boot to a shell to look around', false)
    .option('--refresh-kernel', "ask apt for Debian's current kernel even if the cache has one", false)
    .option('--timeout <seconds>', 'end the guest after so long', '600')
    .option('--verbose', 'show all that the guest prints', false)
    .parse();
  const options = program.opts<Options>();
  const startMs = performance.now();
  assertTools();
  const kernel = provideKernel(options.refreshKernel);
  compile();
  const work = mkdtempSync(join(tmpdir(), 'deputy-vm-'));
  try {
    const resultsFolder = join(work, 'results');
    mkdirSync(resultsFolder);
    const initramfs = buildInitramfs(join(work, 'initramfs'), kernel.modules, {
      DEPUTY_VM_PROJECT: PROJECT,
      DEPUTY_VM_BUILD: relative(PROJECT, BUILD),
      DEPUTY_VM_NODE: process.execPath,
      DEPUTY_VM_START: join(PROJECT, 'test/vm/guest/start.sh'),
      DEPUTY_VM_FILTER: options.filter,
      DEPUTY_VM_SHELL: options.shell ? '1' : '',
    });
    console.log(`Linux ${kernel.release}; built in ${seconds(startMs)} s`);
    const logFile = join(work, 'console.log');
    const end = await boot({
      vmlinux: kernel.vmlinux,
      initramfs,
      resultsFolder,
      logFile,
      interactive: options.shell,
      timeoutMs: Number(options.timeout) * 1000,
      verbose: options.verbose,
    });
    if (options.shell) return 0;
    const report = readReport(resultsFolder, end.tag === 'failed' ? end.why : undefined);
    if (report.failures.length > 0) console.log(tail(readFileSync(logFile, 'utf8')));
    console.log(`${formatReport(report)} in ${seconds(startMs)} s`);
    const counts = count(report);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(counts)}\n`);
    return counts.failed === 0 ? 0 : EXIT_FAILED;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function seconds(sinceMs: number): string {
  return ((performance.now() - sinceMs) / 1000).toFixed(1);
}

function tail(text: string): string {
  return ['the end of the console:', ...text.split('\n').slice(-40)].join('\n');
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`test:vm: ${error.message}`);
  process.exitCode = EXIT_SETUP;
}
