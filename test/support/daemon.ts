/** A real daemon in the test's own process, on a deploy directory that grants what is asked up to small ceilings. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { checkDeployDirectory } from '../../runtime/config/check.ts';
import { formatProblem } from '../../runtime/config/problem.ts';
import { Daemon } from '../../runtime/daemon.ts';
import { assembleFile } from '../runtime/sandbox/wat.ts';

export interface TestDaemon {
  readonly directory: string;
  readonly deployDirectory: string;
  readonly socket: string;
  readonly adminSocket: string;
  readonly auditFile: string;
  readonly stateDirectory: string;
  stop(): Promise<void>;
}

export type TestDeploy = Omit<TestDaemon, 'stop'>;

/** A deploy directory in a folder of its own. `toml` goes below the lines that every test daemon has. */
export function writeDeploy(toml = ''): TestDeploy {
  const directory = mkdtempSync(join(tmpdir(), 'deputy-test-'));
  const at = (name: string): string => join(directory, name);
  const paths = {
    directory,
    deployDirectory: at('deploy'),
    socket: at('deputy.sock'),
    adminSocket: at('admin.sock'),
    auditFile: at('audit.jsonl'),
    stateDirectory: at('state'),
  };
  mkdirSync(at('deploy/plugins'), { recursive: true });
  const wasm = assembleFile(new URL('grant-as-asked.wat', import.meta.url));
  writeFileSync(at('deploy/plugins/as-asked.wasm'), wasm);
  writeFileSync(
    at('deploy/plugins/as-asked.toml'),
    manifest(createHash('sha256').update(wasm).digest('hex')),
  );
  writeFileSync(
    at('deploy/deputy.toml'),
    `version = 1
listen = { socket = "${paths.socket}", admin_socket = "${paths.adminSocket}" }
chain = { set_memlock = ["as-asked"], move_cgroup = ["as-asked"], set_scheduler = ["as-asked"] }
group = { housekeeping = { path = "housekeeping" }, threads = { path = "threads", threaded = true } }
audit = { file = "${paths.auditFile}" }
state = { directory = "${paths.stateDirectory}" }
${toml.includes('canary') ? '' : 'canary = { enabled = false }'}
${toml}`,
  );
  return paths;
}

export async function startDaemon(toml = ''): Promise<TestDaemon> {
  const paths = writeDeploy(toml);
  const daemon = await startOn(paths);
  return {
    ...paths,
    async stop() {
      await daemon.stop();
      rmSync(paths.directory, { recursive: true });
    },
  };
}

export async function startOn({ deployDirectory }: Pick<TestDeploy, 'deployDirectory'>): Promise<Daemon> {
  const { checked, problems } = await checkDeployDirectory(deployDirectory);
  if (checked === undefined) throw new Error(problems.map(formatProblem).join('\n'));
  return Daemon.start(checked, {}, pino({ level: 'silent' }));
}

function manifest(sha256: string): string {
  return `sha256 = "${sha256}"
abi = "deputy:policy@1.0.0"

[ceilings]
memlock = { max_bytes = "64 MiB" }
cgroup = { groups = ["housekeeping", "threads"] }
scheduler = { policies = ["other", "batch", "idle", "fifo"], max_priority = 10, cpus = "any" }
`;
}
