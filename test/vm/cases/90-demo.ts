/** `npm run demo` where every capability is there: nothing may be refused but what the policy refuses. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { check } from '../guest/check.ts';

const PROJECT = '/deputy/project';
const DEMO = `${PROJECT}/dist/examples/demo/demo.js`;

check(
  'does all three operations, and ends as expected',
  async () => {
    assert.ok(existsSync(DEMO), 'npm run build first');
    const demo = spawn(process.execPath, [DEMO], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => demo.once('exit', resolve));
    const output = await text(demo.stdout);
    assert.equal(await ended, 0, output);
    assert.match(output, /memlock of pid \d+: .* → 512 MiB\n {3}the kernel says: .* is 536870912 bytes/);
    assert.match(output, /5 allowed and read back from the kernel, 4 refused .*: all as expected here/);
  },
  120_000,
);
