// Components: what jco makes of them runs under the same limits as a core module, and is refused for the same reasons.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadPlugin } from '../../../../runtime/sandbox/plugin.ts';
import type { SandboxError } from '../../../../runtime/sandbox/seam.ts';
import { wrapAsComponent } from '../../../support/wrap-component.ts';
import { input, source } from '../inputs.ts';
import { assemble } from '../wat.ts';

const ROOT = resolve(import.meta.dirname, '../../../..');
const POLICY = readFileSync(join(ROOT, 'test/runtime/sandbox/policy.wat'), 'utf8');

/** A core module whose decide does `body`, and then allows. */
const module = (body: string, more = ''): string => `(module
  (import "deputy:policy/subject@1.0.0" "uid" (func $uid (result i32)))
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 1024))
  (global $count (mut i32) (i32.const 0))
  ${more}
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $block i32)
    (local.set $block (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $block) (local.get 3)))
    (local.get $block))
  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32)
    (i32.store8 (i32.const 512) (i32.const 0)) (i32.const 512))
  (func $decide (export "deputy:policy/hooks@1.0.0#decide")
    (param i32 i32 i64 i32 i64 i32 i32 i32 i32 i32) (result i32)
    ${body}
    (i32.store8 (i32.const 0) (i32.const 2))
    (i32.const 0)))`;

const load = async (text: string, limits = {}) =>
  loadPlugin(source(await wrapAsComponent(assemble(text)), limits));

describe('a component', () => {
  it('decides as its core module does', async () => {
    const core = await loadPlugin(source(assemble(POLICY)));
    const component = await load(POLICY);
    expect([core.kind, component.kind]).toEqual(['core', 'component']);
    const { fuelUsed: _fuel, ...expected } = core.decide(input());
    expect(component.decide(input())).toMatchObject(expected);
    expect(component.decide(input()).effects).toHaveLength(1);
  });

  it.each<[what: string, body: string, fault: string, more?: string]>([
    ['an endless loop', '(loop $l (br $l))', 'fuel'],
    [
      'endless recursion',
      '(drop (call $deep))',
      'depth',
      '(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))',
    ],
    ['a storm of host calls', '(loop $l (drop (call $uid)) (br $l))', 'fuel'],
    ['a trap', 'unreachable', 'trap'],
    ['a read out of bounds', '(drop (i32.load (i32.const -4)))', 'trap'],
    [
      'a verdict that does not exist',
      '(i32.store8 (i32.const 0) (i32.const 9)) (return (i32.const 0))',
      'trap',
    ],
    ['an answer beyond the memory', '(return (i32.const 70000))', 'trap'],
  ])('that is %s is a denial, and the next request is decided', async (_what, body, fault, more) => {
    // Only the uid of inputs.ts, 1000, meets the fault.
    const guarded = `(if (i32.eq (call $uid) (i32.const 1000)) (then ${body}))`;
    const plugin = await load(module(guarded, more), { fuel: 100_000n });
    const decision = plugin.decide(input());
    expect(decision).toMatchObject({ verdict: { tag: 'deny' }, effects: [], fault: { kind: fault } });
    const { facts } = input();
    const other = { ...input(), facts: { ...facts, subject: { ...facts.subject, uid: 1 } } };
    expect(plugin.decide(other)).toMatchObject({ verdict: { tag: 'pass' }, fault: undefined });
  });

  it('keeps nothing from one decision to the next', async () => {
    const plugin = await load(
      module(`
        (if (i32.or (global.get $count) (i32.load (i32.const 2048))) (then (unreachable)))
        (global.set $count (i32.const 1))
        (i32.store (i32.const 2048) (i32.const 1))
        (drop (memory.grow (i32.const 1)))`),
    );
    for (let n = 0; n < 5; n++) expect(plugin.decide(input())).toMatchObject({ verdict: { tag: 'pass' } });
  });

  it('burns the same fuel each time', async () => {
    const plugin = await load(POLICY);
    const used = new Set(Array.from({ length: 50 }, () => plugin.decide(input()).fuelUsed));
    expect(used.size).toBe(1);
  });

  it.each<[what: string, make: () => Promise<Uint8Array>, reason: SandboxError['reason'], message: RegExp]>([
    [
      'is cut short',
      async () => (await wrapAsComponent(assemble(POLICY))).subarray(0, 200),
      'invalid',
      /exceeds what holds it/,
    ],
    ['is larger than its limit', async () => wrapAsComponent(assemble(POLICY)), 'limit', /the limit is 100/],
    [
      'has a memory over the limit',
      async () => wrapAsComponent(assemble(module('').replace('"memory") 1', '"memory") 99'))),
      'limit',
      /a memory of 99 pages/,
    ],
    [
      'exports no hooks',
      async () => Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0),
      'export',
      /exports no "deputy:policy\/hooks@1\.0\.0"/,
    ],
  ])('that %s is refused', async (what, make, reason, message) => {
    const limits = what.includes('larger') ? { moduleBytes: 100 } : {};
    const loading = loadPlugin(source(await make(), limits));
    await expect(loading).rejects.toMatchObject({ name: 'SandboxError', reason });
    await expect(loading).rejects.toThrow(message);
  });

  it('needs jco-transpile, and a deploy directory without it is told how to get it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'deputy-component-'));
    mkdirSync(join(directory, 'plugins'));
    const wasm = await wrapAsComponent(assemble(POLICY));
    writeFileSync(join(directory, 'plugins/policy.wasm'), wasm);
    const sha256 = createHash('sha256').update(wasm).digest('hex');
    writeFileSync(
      join(directory, 'plugins/policy.toml'),
      `sha256 = "${sha256}"\nabi = "deputy:policy@1.0.0"\n`,
    );
    writeFileSync(join(directory, 'deputy.toml'), 'version = 1\n[chain]\nset_memlock = ["policy"]\n');
    const hooks = `export async function resolve(name, context, next) {
      if (name === '@bytecodealliance/jco-transpile') throw Object.assign(new Error('absent'), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(name, context);
    }`;
    const url = (text: string): string => `data:text/javascript,${encodeURIComponent(text)}`;
    const without = url(`import { register } from 'node:module'; register(${JSON.stringify(url(hooks))});`);
    const check = (...words: string[]) =>
      spawnSync(process.execPath, [...words, join(ROOT, 'dist/runtime/deputyctl.js'), 'check', directory], {
        encoding: 'utf8',
      });
    expect(check()).toMatchObject({ status: 0, stdout: expect.stringContaining('good, 1 plugin') });
    const { status, stdout } = check('--import', without);
    expect(status).toBe(2);
    expect(stdout).toContain(
      'components need @bytecodealliance/jco-transpile, which is not installed: npm install',
    );
    rmSync(directory, { recursive: true });
  });
});
