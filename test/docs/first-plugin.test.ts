// The commands of docs/first-plugin.md, run as they stand there, in an empty folder.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGE = readFileSync(join(ROOT, 'docs/first-plugin.md'), 'utf8');

const folder = mkdtempSync(join(tmpdir(), 'deputy-docs-'));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(() => {
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'work'));
  const shim = join(folder, 'bin', 'deputyctl');
  // What was built, as users have it: `npm ci` has.
  writeFileSync(shim, `#!/bin/sh\nexec '${process.execPath}' '${ROOT}/dist/runtime/deputyctl.js' "$@"\n`);
  chmodSync(shim, 0o755);
});

it('works as written, each command and what it is said to print', { timeout: 120_000 }, () => {
  const blocks = [...PAGE.matchAll(/^```sh( fails)?\n([\s\S]*?)^```$((?:\n\n(?: {4}.*\n)+)?)/gm)];
  expect(blocks.length).toBe(7);
  let printed = '';
  for (const [, fails, script = '', shown = ''] of blocks) {
    const { status, stdout, stderr } = spawnSync('bash', ['-euc', script], {
      cwd: join(folder, 'work'),
      env: { ...process.env, PATH: `${join(folder, 'bin')}:${process.env['PATH']}` },
      encoding: 'utf8',
    });
    printed = `${script}\n${stdout}${stderr}`;
    expect(status === 0, printed).toBe(fails === undefined);
    for (const line of shown.split('\n').map((text) => text.trim())) {
      // "..." stands for what differs from machine to machine; runs of spaces are layout.
      const words = line.split('...').map((part) => part.replace(/\s+/g, ' ').trim());
      for (const part of words) expect(stdout.replace(/\s+/g, ' '), printed).toContain(part);
    }
  }
  expect(printed).toContain('deploy: good, 1 plugin');
});

it('names no command of deputyctl plugin that does not exist', () => {
  for (const page of ['first-plugin', 'plugins', 'languages']) {
    const text = readFileSync(join(ROOT, `docs/${page}.md`), 'utf8');
    for (const [, name] of text.matchAll(/deputyctl plugin (\w+)/g)) {
      expect(['new', 'build', 'test', 'run', 'inspect', 'pin']).toContain(name);
    }
  }
});
