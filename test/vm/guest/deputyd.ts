/** The real daemon as a process of its own, on a deploy directory whose one policy grants what its ceilings allow. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const BUILD = join(import.meta.dirname, '../../..');

/** Roomy: the kernel is under test here, not the ceilings. */
const CEILINGS = `
memlock = { max_bytes = "8 GiB", unlimited = true }
cgroup = { groups = ["housekeeping", "threads", "pinned", "absent", "empty"] }
scheduler = { policies = ["other", "batch", "idle", "fifo", "rr"], max_priority = 40, min_nice = -20, cpus = "any" }
`;

const CONFIG = `
[[scope]]
name = "pod"
preset = "kubernetes-container"

[[scope]]
name = "unit"
preset = "systemd-service"

[[scope]]
name = "test"
pattern = "/deputy-test/{name}"

[group]
housekeeping = { path = "housekeeping" }
threads = { path = "threads", threaded = true }
pinned = { path = "deputy/pinned", threaded = true, cpus = "0" }
absent = { path = "absent", create = false }
empty = { path = "empty", cpus = "7" }

[limits]
requests_per_second = 10000

[quota]
actions = 1000000
memlock_bytes = 9223372036854775807
`;

export interface DeputydOptions {
  /** In the place of the usual. */
  readonly config?: string;
  readonly ceilings?: string;
  /** Where the audit goes, and what is done without: `on_failure`. */
  readonly auditDirectory?: string;
  readonly onFailure?: 'refuse' | 'continue';
  /** A stopped or killed daemon's folder, to go on with its state. */
  readonly directory?: string;
}

export class Deputyd {
  readonly child: ChildProcess;
  readonly directory: string;
  readonly socket: string;
  readonly adminSocket: string;
  readonly stateDirectory: string;
  readonly auditFile: string;
  /** What it logged until now. */
  readonly log: string[] = [];

  private constructor(directory: string, auditDirectory: string, child: ChildProcess) {
    this.directory = directory;
    this.child = child;
    this.socket = join(directory, 'deputy.sock');
    this.adminSocket = join(directory, 'admin.sock');
    this.stateDirectory = join(directory, 'state');
    this.auditFile = join(auditDirectory, 'audit.jsonl');
  }

  static async start(options: DeputydOptions = {}): Promise<Deputyd> {
    const directory = options.directory ?? mkdtempSync('/run/deputy-');
    if (!existsSync(join(directory, 'deploy'))) writeDeploy(directory, options);
    const program = join(BUILD, 'runtime/deputyd.js');
    const child = spawn(process.execPath, [program, '--config', join(directory, 'deploy')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const deputyd = new Deputyd(directory, options.auditDirectory ?? directory, child);
    await deputyd.#listening();
    return deputyd;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Resolves to the exit code, or the signal it died of. */
  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    const { exitCode, signalCode } = this.child;
    if (exitCode !== null || signalCode !== null) return exitCode ?? signalCode;
    const exit = once(this.child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    this.child.kill(signal);
    const [code, died] = await exit;
    return code ?? died;
  }

  /** Audit records, the oldest first. */
  audit(): Record<string, unknown>[] {
    const lines = readFileSync(this.auditFile, 'utf8').split('\n');
    return lines.slice(0, -1).map((line) => JSON.parse(line));
  }

  #listening(): Promise<void> {
    return new Promise((resolve, reject) => {
      for (const stream of [this.child.stdout, this.child.stderr]) {
        if (stream === null) continue;
        createInterface(stream).on('line', (line) => {
          this.log.push(line);
          if (line.includes('"msg":"listening"')) resolve();
        });
      }
      this.child.once('exit', (code, signal) =>
        reject(new Error(`deputyd ended with ${code ?? signal}:\n${this.log.join('\n')}`)),
      );
    });
  }
}

function writeDeploy(
  directory: string,
  { config = CONFIG, ceilings = CEILINGS, auditDirectory = directory, onFailure = 'refuse' }: DeputydOptions,
): void {
  chmodSync(directory, 0o755);
  const deploy = join(directory, 'deploy');
  mkdirSync(join(deploy, 'plugins'), { recursive: true });
  const wasm = join(BUILD, 'bin/as-asked.wasm');
  cpSync(wasm, join(deploy, 'plugins/as-asked.wasm'));
  const sha256 = createHash('sha256').update(readFileSync(wasm)).digest('hex');
  writeFileSync(
    join(deploy, 'plugins/as-asked.toml'),
    `sha256 = "${sha256}"\nabi = "deputy:policy@1.0.0"\n\n[ceilings]${ceilings}`,
  );
  writeFileSync(
    join(deploy, 'deputy.toml'),
    `version = 1
listen = { socket = "${directory}/deputy.sock", admin_socket = "${directory}/admin.sock" }
chain = { set_memlock = ["as-asked"], move_cgroup = ["as-asked"], set_scheduler = ["as-asked"] }
audit = { file = "${auditDirectory}/audit.jsonl", on_failure = "${onFailure}" }
state = { directory = "${directory}/state" }
${config}`,
  );
}

let shared: Promise<Deputyd> | undefined;

/** One for all cases that don't stop it: a start takes seconds here. Another one where it died. */
export async function sharedDeputyd(): Promise<Deputyd> {
  const running = await shared?.catch(() => undefined);
  if (running === undefined || running.child.exitCode !== null || running.child.signalCode !== null) {
    shared = Deputyd.start();
  }
  return (await shared) as Deputyd;
}
