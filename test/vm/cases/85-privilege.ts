/** What a daemon that is taken over could do: its privileges, tried by a program that has just these. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { check, show } from '../guest/check.ts';
import { UID } from '../guest/client.ts';
import { sharedDeputyd } from '../guest/deputyd.ts';

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
  // The control: what the harness may do, and files of root's own, which no capability guards.
  assert.equal(run(['env'], `cat ${secret}`).stdout, 'secret');
  assert.equal(run(asDaemon, 'cat /etc/shadow').status, 0);
  rows.push(['read root’s own files, /etc/shadow', 'possible: see docs/operating.md']);
  show({ title: 'tried with the privileges of deputyd', columns: ['to', 'answer'], rows });
  execFileSync('kill', ['-9', sleeper]);
});
