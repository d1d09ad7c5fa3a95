/** What a daemon that is taken over could do: its privileges, tried by a program that has just these. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { check, show } from '../guest/check.ts';
import { UID } from '../guest/client.ts';
import { BUILD, sharedDeputyd } from '../guest/deputyd.ts';

const CAP_SYS_NICE = 1n << 23n;
const CAP_SYS_RESOURCE = 1n << 24n;

check('every thread has two capabilities, and no way to more', async () => {
  const { pid } = await sharedDeputyd();
  const threads = readdirSync(`/proc/${pid}/task`);
  assert.ok(threads.length > 4);
  for (const tid of threads) {
    const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'latin1');
    const set = (name: string): bigint =>
      BigInt(`0x${new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1]}`);
    for (const name of ['CapPrm', 'CapEff', 'CapBnd'])
      assert.equal(set(name), CAP_SYS_NICE | CAP_SYS_RESOURCE, name);
    assert.equal(set('CapAmb'), 0n);
    assert.match(status, /^NoNewPrivs:\s*1$/m);
  }
});

/** Runs `script` in a process that has given up files as the daemon does; `tried(path)` is the code of reading it. */
function restricted(script: string): string {
  const program = `
    import { readFileSync, writeFileSync } from 'node:fs';
    import { layDownAllBut } from '${BUILD}/host-api/kernel/privilege.js';
    import { capabilitiesToKeep } from '${BUILD}/runtime/privilege.js';
    import { restrictReach } from '${BUILD}/runtime/reach.js';
    layDownAllBut(capabilitiesToKeep(false));
    const failed = restrictReach({
      configDirectory: '/etc/deputy', config: undefined, overrides: ['/var/log/deputy/audit.jsonl'],
    });
    if (failed !== undefined) throw new Error(failed);
    const code = (run) => { try { run(); return 'done'; } catch (error) { return error.code; } };
    const tried = (path) => code(() => readFileSync(path));
    ${script}`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

function filesOfRoot(): [string, string][] {
  return ['/etc/shadow', '/etc/passwd', '/root/.secret'].map((path) => {
    if (path === '/root/.secret') writeFileSync(path, 'x');
    readFileSync(path);
    assert.equal(restricted(`process.stdout.write(tried('${path}'))`), 'EACCES', path);
    return [`read ${path}, which is root's own`, 'permission denied (Landlock)'];
  });
}

function filesOfItsOwn(): [string, string][] {
  mkdirSync('/etc/deputy', { recursive: true });
  mkdirSync('/var/log/deputy', { recursive: true });
  writeFileSync('/etc/deputy/deputy.toml', 'version = 1');
  const answer = restricted(`process.stdout.write([
    tried('/etc/deputy/deputy.toml'),
    code(() => writeFileSync('/var/log/deputy/audit.jsonl', '')),
    code(() => writeFileSync('/etc/new', '')),
    tried('/proc/1/status'),
    tried('/sys/fs/cgroup/cgroup.procs'),
  ].join())`);
  assert.equal(answer, 'done,done,EACCES,done,done');
  return [['read its configuration, write its log', 'done']];
}

check("with the daemon's privileges, root can do little", () => {
  const secret = '/run/secret-of-a-user';
  writeFileSync(secret, 'secret', { mode: 0o600 });
  chownSync(secret, UID, UID);
  const tries: readonly [what: string, script: string][] = [
    ['mount a file system', 'mount -t tmpfs none /mnt'],
    ["read a user's private file", `cat ${secret}`],
    ['become another user', `setpriv --reuid=${UID} --clear-groups true`],
    ['give a file away', 'touch /run/mine && chown 1 /run/mine'],
    ["end another user's process", `kill -0 $SLEEPER`],
    ['set the clock', 'date -s 2030-01-01'],
    ['change the root', 'chroot / true'],
    ['open a raw socket', 'python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"'],
    ['make a device', 'mknod /run/device c 1 3'],
    ['make a network namespace', 'unshare --net true'],
  ];
  const sleeper = spawnSync(
    'sh',
    ['-c', `setpriv --reuid=${UID} --clear-groups sleep 1000 >/dev/null 2>&1 & echo $!`],
    {
      encoding: 'utf8',
    },
  ).stdout.trim();
  const run = (words: readonly string[], script: string) =>
    spawnSync(words[0] ?? '', [...words.slice(1), 'sh', '-c', script], {
      encoding: 'utf8',
      env: { ...process.env, SLEEPER: sleeper },
    });
  const asDaemon = [
    'setpriv',
    '--no-new-privs',
    '--bounding-set=-all,+sys_nice,+sys_resource',
    '--inh-caps=-all',
  ];
  const rows = tries.map(([what, script]) => {
    const { status, stderr } = run(asDaemon, script);
    assert.notEqual(status, 0, `it could ${what}`);
    const reason = /operation not permitted|permission denied/i.exec(stderr)?.[0];
    assert.ok(reason !== undefined, `${what}: ${stderr}`);
    return [what, reason.toLowerCase()];
  });
  // The control: what the harness may do.
  assert.equal(run(['env'], `cat ${secret}`).stdout, 'secret');
  rows.push(...filesOfRoot(), ...filesOfItsOwn());
  show({ title: 'tried with the privileges of deputyd', columns: ['to', 'answer'], rows });
  execFileSync('kill', ['-9', sleeper]);
});
