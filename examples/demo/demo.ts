/**
 * `npm run demo`: a real daemon with the plugin of this folder, a real unprivileged client with threads, and all three
 * operations, read back from the kernel. What this machine can't do is said with its reason. Ends with 0 only if
 * every step ended as it should here.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CapabilitiesReply, Outcome, ReleaseReply } from '../../client/index.ts';
import { CgroupFs } from '../../host-api/kernel/cgroup-fs.ts';
import { verifyAudit } from '../../runtime/audit/verify.ts';
import { describeChanges, describeRelease } from '../../runtime/cli/describe-reply.ts';
import { VERSION } from '../../runtime/version.ts';
import { type Client, planSteps, type Situation, type Step } from './steps.ts';
import type { Answer, Ask, Ready } from './workload.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const DEPLOY = join(ROOT, 'examples/demo');
const CLIENT_UID = 65534;
const OTHER_UID = 65533;
const THREADS = 4;

const ownUid = process.getuid?.() ?? 0;
const folder = mkdtempSync(join(tmpdir(), 'deputy-demo-'));
// Clients of other users must get to the socket.
chmodSync(folder, 0o711);
const socket = join(folder, 'deputy.sock');
const auditFile = join(folder, 'audit.jsonl');
const children: ChildProcess[] = [];
const counts = { allowed: 0, refused: 0, unexpected: 0 };
let cgroup: { readonly fs: CgroupFs; readonly path: string } | undefined;

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  for (const child of children) child.kill('SIGKILL');
  await removeCgroup();
  rmSync(folder, { recursive: true });
}

async function main(): Promise<number> {
  const whyNoCgroup = makeCgroup();
  const client = await startClient(ownUid === 0 ? CLIENT_UID : undefined);
  const other = ownUid === 0 && cgroup !== undefined ? await startClient(OTHER_UID) : undefined;
  const daemon = await startDaemon();
  const { reply } = await ask(client, { socket, method: 'Capabilities', parameters: {} });
  const capabilities = reply as CapabilitiesReply;
  console.log(`deputyd ${VERSION} on Linux ${release()}, Node ${process.versions.node}`);
  const uid = ownUid === 0 ? CLIENT_UID : ownUid;
  console.log(`client: pid ${client.ready.pid}, uid ${uid}, scope ${capabilities.scope ?? 'none'}`);
  for (const { name, available, reason } of capabilities.operations) {
    console.log(
      `  ${name.padEnd(14)} ${available ? 'yes' : 'no'}${reason === undefined ? '' : `: ${reason}`}`,
    );
  }
  if (whyNoCgroup !== undefined) console.log(`  the client has no cgroup of its own: ${whyNoCgroup}`);

  const situation: Situation = {
    sameUser: ownUid !== 0,
    client,
    other,
    otherUid: OTHER_UID,
    capabilities,
    whyNoCgroup,
    outsider: process.pid,
  };
  for (const [index, step] of planSteps(situation).entries()) await run(index + 1, step, client);

  daemon.kill('SIGTERM');
  const [code] = await once(daemon, 'exit');
  const audit = await verifyAudit([auditFile]);
  if (code !== 0 || audit.faults.length > 0) counts.unexpected++;
  const chain = audit.faults[0]?.message ?? 'the chain is unbroken';
  console.log(`\naudit: ${audit.records} records, ${chain}; deputyd ended with ${code}`);
  const { allowed, refused, unexpected } = counts;
  const verdict = unexpected === 0 ? 'all as expected here' : `${unexpected} NOT as expected`;
  console.log(
    `${allowed} allowed and read back from the kernel, ${refused} refused with their reason: ${verdict}`,
  );
  return unexpected === 0 ? 0 : 1;
}

async function run(number: number, step: Step, first: Client): Promise<void> {
  const { reply, error, microseconds } = await ask(step.client ?? first, {
    socket,
    method: step.method,
    parameters: step.parameters,
  });
  const took = `${Math.round(microseconds).toLocaleString('en')} µs`;
  console.log(`\n${number}. ${step.asked}`);
  if (error !== undefined) {
    counts.refused++;
    console.log(`   refused (${error.code}), ${took}: ${error.message}`);
    if (step.because !== undefined) console.log(`   as expected here: ${step.because}`);
    if (step.refused === undefined || !step.refused.includes(error.code))
      unexpected('should have been allowed');
    return;
  }
  counts.allowed++;
  if (step.method === 'Release') {
    console.log(`   done, ${took}: ${describeRelease(reply as ReleaseReply).replaceAll('\n', ', ')}`);
  } else {
    const { outcome } = reply as { outcome: Outcome };
    console.log(`   allowed by ${outcome.plugin}, ${took}, audit record ${outcome.id}`);
    const changes = describeChanges(outcome);
    for (const change of changes.slice(0, 3)) console.log(`     ${change}`);
    if (changes.length > 3) console.log(`     and ${changes.length - 3} more threads alike`);
  }
  if (step.refused !== undefined) unexpected(`should have been refused as ${step.refused}`);
  for (const { what, is, due } of step.reread?.() ?? []) {
    console.log(`   the kernel says: ${what} ${is}`);
    if (is !== due) unexpected(`should be ${due}`);
  }
}

function unexpected(what: string): void {
  counts.unexpected++;
  console.log(`   NOT AS EXPECTED: ${what}`);
}

/** A cgroup for the client that its scope pattern matches. Returns why there is none. */
function makeCgroup(): string | undefined {
  if (ownUid !== 0) return 'only root can make one here; its scope is the cgroup that it was started in';
  const fs = CgroupFs.open();
  if (fs === undefined) return 'no cgroup v2 hierarchy is mounted whole';
  const path = `/deputy-demo-${process.pid}`;
  try {
    fs.create('/', path.slice(1));
    cgroup = { fs, path };
    return undefined;
  } catch (error) {
    fs.close();
    return error instanceof Error ? error.message : String(error);
  }
}

async function removeCgroup(): Promise<void> {
  if (cgroup === undefined) return;
  const { fs, path } = cgroup;
  fs.write(path, 'cgroup.kill', '1');
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      for (const child of fs.children(path)) fs.remove(path, child);
      fs.remove('/', path.slice(1));
      break;
    } catch {
      await sleep(20);
    }
  }
  fs.close();
}

async function startClient(uid: number | undefined): Promise<Client> {
  const child = fork(
    join(import.meta.dirname, 'workload.js'),
    [uid === undefined ? '' : `${uid}`, `${THREADS}`],
    {
      serialization: 'advanced',
    },
  );
  children.push(child);
  const [ready] = (await once(child, 'message')) as [Ready];
  if (cgroup !== undefined) cgroup.fs.write(cgroup.path, 'cgroup.procs', `${ready.pid}`);
  const gone = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`the client ended with ${code ?? signal}`);
  });
  // Only what is waiting for an answer wants to know.
  gone.catch(() => {});
  return { child, ready, gone };
}

async function startDaemon(): Promise<ChildProcess> {
  const words = [
    '--config',
    deployDirectory(),
    '--socket',
    socket,
    '--admin-socket',
    join(folder, 'admin.sock'),
  ];
  words.push('--state-dir', join(folder, 'state'), '--audit-file', auditFile);
  const program = join(ROOT, 'dist/runtime/deputyd.js');
  const daemon = spawn(process.execPath, [program, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(daemon);
  for await (const line of createInterface({ input: daemon.stdout })) {
    if (JSON.parse(line).msg === 'listening') {
      daemon.stdout.resume();
      return daemon;
    }
  }
  throw new Error('deputyd did not come up');
}

/** That of this folder. Without root the client has another uid than its policy grants: then a copy that names it. */
function deployDirectory(): string {
  if (ownUid === 0) return DEPLOY;
  const copy = join(folder, 'deploy');
  cpSync(DEPLOY, copy, { recursive: true });
  const manifest = join(copy, 'plugins/demo.toml');
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replace(/^uids = .*$/m, `uids = [${ownUid}]`));
  return copy;
}

async function ask({ child, gone }: Client, question: Ask): Promise<Answer> {
  child.send(question);
  const [answer] = (await Promise.race([once(child, 'message'), gone])) as [Answer];
  return answer;
}
