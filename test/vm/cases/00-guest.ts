/** That the guest is what the other cases take it for. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { CgroupFs } from '../../../host-api/kernel/cgroup-fs.ts';
import { check } from '../guest/check.ts';

check('has every capability', () => {
  const status = readFileSync('/proc/self/status', 'latin1');
  const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'latin1'));
  assert.equal(BigInt(`0x${/^CapEff:\s*(\S+)/m.exec(status)?.[1]}`), 2n ** BigInt(last + 1) - 1n);
});

check('has cgroup v2 alone, whole, with its controllers', () => {
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'latin1'), / - cgroup /);
  const fs = CgroupFs.open();
  assert.equal(fs?.mountPoint, '/sys/fs/cgroup');
  const enabled = fs.read('/', 'cgroup.subtree_control').split(' ');
  for (const name of ['cpuset', 'cpu', 'memory', 'pids']) assert.ok(enabled.includes(name), name);
  fs.close();
});

check('has two CPUs', () => {
  assert.equal(readFileSync('/sys/devices/system/cpu/online', 'latin1').trim(), '0-1');
});
