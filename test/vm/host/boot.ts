/** One run of QEMU, from the kernel's start until it switches itself off. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';

export interface Boot {
  readonly vmlinux: string;
  readonly initramfs: string;
  /** Written to by the guest. */
  readonly resultsFolder: string;
  /** All that the guest prints goes here too. */
  readonly logFile: string;
  readonly interactive: boolean;
  readonly timeoutMs: number;
  readonly verbose: boolean;
}

/** Why the guest did not end by itself, if so. */
export type BootEnd = { readonly tag: 'off' } | { readonly tag: 'failed'; readonly why: string };

/** No KVM: the guest is the same on every machine, and needs no rights on it. */
function argumentsOf({ vmlinux, initramfs, resultsFolder, interactive }: Boot): string[] {
  const share = (tag: string, options: string): string[] => [
    '-fsdev',
    `local,id=${tag},security_model=none,multidevs=remap,${options}`,
    '-device',
    `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`,
  ];
  return [
    ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', '1024'],
    ...['-nodefaults', '-display', 'none', '-no-reboot'],
    ...(interactive ? ['-serial', 'mon:stdio'] : ['-serial', 'stdio']),
    ...['-device', 'virtio-rng-pci'],
    ...share('host', 'path=/,readonly=on'),
    ...share('results', `path=${resultsFolder}`),
    ...['-kernel', vmlinux, '-initrd', initramfs],
    // A panic reboots at once, which ends QEMU by -no-reboot; the missing exit code then tells of it.
    ...['-append', 'console=ttyS0 quiet panic=-1 oops=panic random.trust_cpu=on'],
  ];
}

export async function boot(options: Boot): Promise<BootEnd> {
  const { interactive, timeoutMs, logFile } = options;
  const qemu = spawn('qemu-system-x86_64', argumentsOf(options), {
    stdio: interactive ? 'inherit' : ['ignore', 'pipe', 'pipe'],
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    qemu.kill('SIGKILL');
  }, timeoutMs);
  if (interactive) clearTimeout(timer);
  const log = createWriteStream(logFile);
  let panicked: string | undefined;
  for (const stream of [qemu.stdout, qemu.stderr]) {
    if (stream === null) continue;
    createInterface(stream).on('line', (line) => {
      log.write(`${line}\n`);
      panicked ??= /Kernel panic.*/.exec(line)?.[0];
      // The kernel's own lines, and those of programs under test, stay in the log.
      if (options.verbose || line.startsWith('= ')) console.log(line.replace(/^= /, ''));
    });
  }
  const [code] = (await once(qemu, 'exit')) as [number | null];
  clearTimeout(timer);
  log.end();
  if (timedOut) return { tag: 'failed', why: `the guest took longer than ${timeoutMs / 1000} s` };
  if (panicked !== undefined) return { tag: 'failed', why: panicked };
  if (code !== 0) return { tag: 'failed', why: `QEMU ended with code ${code}` };
  return { tag: 'off' };
}
