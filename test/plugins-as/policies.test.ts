// The policies that deputy ships: their own cases, the settings that they refuse, and their example deploy directories.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkDeployDirectory } from '../../runtime/config/check.ts';
import { deputyctl } from '../runtime/cli/run-here.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'deputy-policies-'));
afterAll(() => rmSync(folder, { recursive: true }));

const POLICIES = ['libvirt', 'kubevirt', 'realtime'] as const;

/** Settings that the policy must refuse, and what it must say. */
const REFUSED: readonly [policy: (typeof POLICIES)[number], settings: string, reason: string][] = [
  ['libvirt', 'callers = [107]', 'max_guest_memory is missing'],
  ['libvirt', 'max_guest_memory = "1 GiB"', 'callers is missing'],
  [
    'libvirt',
    'callers = [107]\nmax_guest_memory = "1 GiB"\nunlimited = "maybe"',
    'must be "refuse", "clamp" or "allow"',
  ],
  [
    'libvirt',
    'callers = [107]\nmax_guest_memory = "4096 TiB"\ndevices = 3',
    'times devices plus io_memory exceeds',
  ],
  [
    'libvirt',
    'callers = [107]\nmax_guest_memory = "1 GiB"\nio_memory = "8192 TiB"',
    'times devices plus io_memory exceeds',
  ],
  [
    'libvirt',
    'callers = [107]\nmax_guest_memory = "1 GiB"\npolicies = ["fifo"]',
    'max_priority and max_realtime_threads',
  ],
  [
    'libvirt',
    'callers = [107]\nmax_guest_memory = "1 GiB"\ngropus = ["a"]',
    'gropus is no setting of this plugin',
  ],
  ['kubevirt', '', 'max_memlock is missing'],
  ['kubevirt', 'max_memlock = "1 GiB"\nusers = []', 'names no user'],
  ['kubevirt', 'max_memlock = "1 GiB"\nscopes = []', 'names no scope'],
  ['kubevirt', 'max_memlock = "1 GiB"\nmax_memlock_without_limit = "2 GiB"', 'exceeds max_memlock'],
  ['realtime', 'max_realtime_priority = 100', 'must be within 1 and 99'],
  ['realtime', 'min_nice = 5', 'must be within -20 and 0'],
];

function deploy(policy: string, settings?: string): string {
  const directory = mkdtempSync(join(folder, `${policy}-`));
  cpSync(join(ROOT, 'examples', policy, 'deputy.toml'), join(directory, 'deputy.toml'));
  mkdirSync(join(directory, 'plugins'));
  for (const file of [`${policy}.wasm`, `${policy}.toml`]) {
    cpSync(join(ROOT, 'plugins-as', policy, file), join(directory, 'plugins', file));
  }
  if (settings !== undefined) {
    const manifest = join(directory, 'plugins', `${policy}.toml`);
    const text = readFileSync(manifest, 'utf8');
    writeFileSync(manifest, `${text.slice(0, text.indexOf('[settings]'))}[settings]\n${settings}\n`);
  }
  return directory;
}

describe.each(POLICIES)('the policy %s', (policy) => {
  it('passes its cases', async () => {
    const ran = await deputyctl(
      {},
      'plugin',
      'test',
      '--no-build',
      '--json',
      join(ROOT, 'plugins-as', policy),
    );
    const { ok, results } = JSON.parse(ran.out) as { ok: boolean; results: { verdict: string }[] };
    expect(ok, ran.out).toBe(true);
    expect(results.length).toBeGreaterThanOrEqual(10);
  });

  it('has an example deploy directory without a problem', async () => {
    const { problems } = await checkDeployDirectory(deploy(policy));
    expect(problems).toEqual([]);
  });

  it('describes each of its settings in its page', () => {
    const source = readFileSync(join(ROOT, 'plugins-as', policy, 'policy.ts'), 'utf8');
    const page = readFileSync(join(ROOT, 'docs', 'policies', `${policy}.md`), 'utf8');
    const settings = [...source.matchAll(/settings\.(?!refuse)\w+\('(\w+)'/g)].map(([, name]) => name);
    expect(settings.length).toBeGreaterThanOrEqual(4);
    for (const name of settings) expect(page).toContain(`| \`${name}\``);
  });
});

it.each(REFUSED)('%s refuses the settings %j', async (policy, settings, reason) => {
  const { problems } = await checkDeployDirectory(deploy(policy, settings));
  expect(problems.map(({ message }) => message).join('\n')).toContain(reason);
});
