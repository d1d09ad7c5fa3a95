import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readDeployDirectory } from '../../../runtime/config/deploy.ts';
import { formatProblem } from '../../../runtime/config/problem.ts';

const WASM = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
const SHA256 = createHash('sha256').update(WASM).digest('hex');

const CONFIG = `version = 1

[chain]
set_memlock = ["demo"]

[group.housekeeping]
path = "housekeeping"
cpus = "0-1"
`;

const MANIFEST = `sha256 = "${SHA256}"
abi = "deputy:policy@1.0.0"

[limits]
fuel = 5000

[ceilings.memlock]
max_bytes = "4 GiB"

[ceilings.cgroup]
groups = ["housekeeping"]

[settings]
max_bytes = 9007199254740993
uids = [1000, 107]
hint = "say \\"please\\""
`;

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'deputy-config-'));
  mkdirSync(join(directory, 'plugins'));
});

afterEach(() => rmSync(directory, { recursive: true }));

function deploy(config = CONFIG, manifest = MANIFEST) {
  const write = (name: string, data: string | Uint8Array) => {
    writeFileSync(join(directory, name), data);
    chmodSync(join(directory, name), 0o644);
  };
  write('deputy.toml', config);
  write('plugins/demo.toml', manifest);
  write('plugins/demo.wasm', WASM);
  const { deploy, problems } = readDeployDirectory(directory);
  return {
    deploy,
    problems: problems.map((problem) => formatProblem(problem).replaceAll(`${directory}/`, '')),
  };
}

describe('a deploy directory', () => {
  it("grants no priority that is the watchdog's own, but where there is none", () => {
    const manifest = MANIFEST.replace('[settings]', '[ceilings.scheduler]\nmax_priority = 99\n\n[settings]');
    const canary = '\n[canary]\nstarved_ms = 1000\n';
    expect(deploy(CONFIG + canary, manifest).problems).toEqual([
      'deputy.toml:10:2: demo.toml:13 allows the plugin "demo" priority 99, which is that of the watchdog over realtime threads: it could not interrupt them\n' +
        '    remedy: lower max_priority to 98, or do without the watchdog: [canary] enabled = false',
    ]);
    expect(deploy(CONFIG, manifest.replace('99', '98')).problems).toEqual([]);
    expect(deploy(`${CONFIG}${canary}enabled = false\n`, manifest).problems).toEqual([]);
  });

  it('reads with its defaults, and with 64-bit numbers exact', () => {
    const { deploy: read, problems } = deploy();
    expect(problems).toEqual([]);
    expect(read?.config.listen).toEqual({
      socket: '/run/deputy/deputy.sock',
      mode: 0o666,
      admin_socket: '/run/deputy/admin.sock',
    });
    expect(read?.config.limits.message_bytes).toBe(65_536n);
    expect(read?.chains['set-memlock']).toEqual(['demo']);
    const plugin = read?.plugins.get('demo');
    expect(plugin?.limits.fuel).toBe(5000n);
    expect(plugin?.ceilings.memlock).toEqual({ maxBytes: 4n << 30n, unlimited: false });
    expect(plugin?.ceilings.source).toEqual({
      memlock: 'demo.toml:8',
      cgroup: 'demo.toml:11',
      scheduler: 'demo.toml:7',
    });
    expect(plugin?.settings).toBe(
      '{"hint":"say \\"please\\"","max_bytes":9007199254740993,"uids":[1000,107]}',
    );
  });

  it('tells every problem at once, each with its place', () => {
    const { deploy: read, problems } = deploy(
      CONFIG.replace('version = 1', 'version = 2')
        .replace('"0-1"', '"3-1"')
        .replace('[chain]', '[chain]\nset_nice = []'),
      MANIFEST.replace('fuel = 5000', 'fuel = 5').replace('"4 GiB"', '"4 GB"').replace('abi =', 'abj ='),
    );
    expect(read).toBeUndefined();
    expect(problems.map((problem) => problem.split('\n')[0])).toEqual([
      'deputy.toml:1:1: version: config version 2 is not 1, the one this daemon reads',
      'deputy.toml:9:1: group.housekeeping.cpus: range 3-1 runs backwards',
      'deputy.toml:4:1: unknown key chain.set_nice',
      'plugins/demo.toml:1:1: abi is missing',
      'plugins/demo.toml:5:1: limits.fuel: must be from 1,000 to 10,000,000,000',
      'plugins/demo.toml:8:1: ceilings.memlock.max_bytes: "4 GB" must be a number of bytes or a size such as "64 MiB" (B, KiB, MiB, GiB, TiB)',
      'plugins/demo.toml:2:1: unknown key abj',
    ]);
  });

  it.each([
    [
      'another digest',
      CONFIG,
      MANIFEST.replace(SHA256, '0'.repeat(64)),
      `plugins/demo.toml:1:1: demo.wasm has the sha256 ${SHA256}, the manifest pins ${'0'.repeat(64)}`,
    ],
    [
      'a chain with an absent plugin',
      CONFIG.replace('["demo"]', '["demo", "demos"]'),
      MANIFEST,
      'deputy.toml:4:24: chain set_memlock names the plugin "demos", which is not in plugins/',
    ],
    [
      'a chain that asks twice',
      CONFIG.replace('["demo"]', '["demo", "demo"]'),
      MANIFEST,
      'deputy.toml:4:24: chain set_memlock names the plugin "demo" twice',
    ],
    [
      'a plugin on no chain',
      CONFIG.replace('["demo"]', '[]'),
      MANIFEST,
      'deputy.toml:3:2: the plugin "demo" is in plugins/ and on no chain',
    ],
    [
      'a group that is not defined',
      CONFIG.replaceAll('housekeeping', 'other'),
      MANIFEST,
      'deputy.toml:6:2: demo.toml:11 allows the cgroup group "housekeeping", which deputy.toml does not define (defined: other)',
    ],
    [
      'a group path that escapes',
      CONFIG.replace('path = "housekeeping"', 'path = "../other"'),
      MANIFEST,
      'deputy.toml:7:1: group.housekeeping.path: "../other" is not a relative cgroup path of plain names',
    ],
    [
      'broken TOML',
      CONFIG.replace('"0-1"', '0-1'),
      MANIFEST,
      'deputy.toml:8:9: not valid TOML: Must be a newline',
    ],
  ])('refuses %s', (_what, config, manifest, expected) => {
    const { deploy: read, problems } = deploy(config, manifest);
    expect(read).toBeUndefined();
    expect(problems[0]?.split('\n')[0]).toBe(expected);
    expect(problems[0]).toMatch(/\n {4}remedy: \S/);
  });

  it('refuses files that others can write, whoever they belong to', () => {
    deploy();
    chmodSync(join(directory, 'plugins/demo.wasm'), 0o666);
    const { problems } = readDeployDirectory(directory);
    expect(problems.map((problem) => problem.message)).toEqual([
      'is writable by group or others (mode 0666)',
    ]);
  });

  it('keeps a key named __proto__ a key', () => {
    const { problems } = deploy(`${CONFIG}\n[__proto__]\npolluted = true\n`);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(problems.length).toBe(1);
  });
});
