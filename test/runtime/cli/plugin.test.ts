import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assemble } from '../sandbox/wat.ts';
import { deputyctl as run } from './run-here.ts';

const folder = mkdtempSync(join(tmpdir(), 'deputy-plugin-'));
afterAll(() => rmSync(folder, { recursive: true }));

const deputyctl = (...words: readonly string[]) => run({ ...process.env, NO_COLOR: '1' }, ...words);
const at = (...path: readonly string[]): string => join(folder, ...path);

/** A plugin of three lines that denies everything, so that most tests need no compiler. */
const DENIES = `(module
  (memory (export "memory") 1)
  (data (i32.const 16) "never\\1b[2J")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32) (i32.const 512))
  (func (export "deputy:policy/hooks@1.0.0#decide")
    (param i32 i32 i64 i32 i64 i32 i32 i32 i32 i32) (result i32)
    (i32.store8 (i32.const 0) (i32.const 1))
    (i32.store (i32.const 4) (i32.const 16))
    (i32.store (i32.const 8) (i32.const 9))
    (i32.const 0)))`;

const MANIFEST = `# Kept: comments, order, and odd spaces.
abi = "deputy:policy@1.0.0"   # the contract
sha256   =   "${'0'.repeat(64)}" # pinned

[settings]
a = 1
`;

async function denier(name: string, cases = ''): Promise<string> {
  mkdirSync(at(name));
  writeFileSync(at(name, `${name}.wasm`), assemble(DENIES));
  writeFileSync(at(name, `${name}.toml`), MANIFEST);
  if (cases !== '') writeFileSync(at(name, 'cases.toml'), cases);
  return at(name);
}

const NEVER = `
[[case]]
name = "never"
move_cgroup = "housekeeping"
expect = { verdict = "deny", reason = "never", effects = [], max_fuel = 1000 }
`;

describe('plugin new', () => {
  it('makes a plugin in AssemblyScript that builds and passes its test at once', async () => {
    const made = await deputyctl('plugin', 'new', at('first'));
    expect(made.code).toBe(0);
    expect(made.out).toContain('cases.toml, first.toml, policy.ts');
    const tested = await deputyctl('plugin', 'test', at('first'));
    expect(tested).toMatchObject({ code: 0, err: '' });
    expect(tested.out).toContain('10 cases: 10 passed, 0 failed; 3 allow, 7 deny (6 different reasons)');
    const wasm = readFileSync(at('first', 'first.wasm'));
    const digest = createHash('sha256').update(wasm).digest('hex');
    expect(readFileSync(at('first', 'first.toml'), 'utf8')).toContain(`sha256 = "${digest}"`);
  });

  it.each([
    ['Upper', 'is not a name'],
    ['first', 'exists and is not empty'],
  ])('refuses the name %s', async (name, reason) => {
    const { code, err } = await deputyctl('plugin', 'new', at(name));
    expect(code).toBe(2);
    expect(err).toContain(reason);
  });

  it('refuses a language that it does not know, and names those it does', async () => {
    const { code, err } = await deputyctl('plugin', 'new', at('x'), '--lang', 'cobol');
    expect(code).toBe(2);
    expect(err).toContain('as, c, cpp, rust, zig, wat, js');
  });
});

describe('plugin build', () => {
  it('shows what the compiler says, with its place', async () => {
    await deputyctl('plugin', 'new', at('broken'));
    const source = readFileSync(at('broken', 'policy.ts'), 'utf8');
    writeFileSync(at('broken', 'policy.ts'), source.replace('let user: u32 = 0;', "let user: u32 = 'a';"));
    const { code, err } = await deputyctl('plugin', 'build', at('broken'));
    expect(code).toBe(1);
    expect(err).toMatch(/policy\.ts does not compile[\s\S]*policy\.ts\(4,/);
  });

  it('says how to get a compiler that is not there', async () => {
    await deputyctl('plugin', 'new', at('no-tool'), '--lang', 'c');
    const { code, err } = await run({ CC: '/nonexistent/cc' }, 'plugin', 'build', at('no-tool'));
    expect(code).toBe(4);
    expect(err).toContain('C needs /nonexistent/cc (from CC): not found');
    expect(err).toContain('apt-get install clang lld');
  });

  it('says which sources it knows, where there is none', async () => {
    const { code, err } = await deputyctl('plugin', 'build', await denier('no-source'));
    expect(code).toBe(2);
    expect(err).toContain('has no source: one of policy.ts, policy.c');
  });
});

describe('plugin test', () => {
  it('compares verdict, reason, effects and fuel, and fails for each', async () => {
    const directory = await denier(
      'four',
      `${NEVER}
[[case]]
name = "verdict"
move_cgroup = "housekeeping"
expect = { verdict = "allow" }

[[case]]
name = "reason"
set_memlock = { hard = "1 GiB" }
expect = { verdict = "deny", reason = "too much" }

[[case]]
name = "effects"
set_scheduler = { policy = "fifo", priority = 5, cpus = "0-1" }
expect = { verdict = "deny", effects = [{ move_cgroup = { group = "x", threads = [1] } }] }

[[case]]
name = "fuel"
set_scheduler = { nice = -5 }
expect = { verdict = "deny", max_fuel = 1 }

[[case]]
name = "fault"
set_scheduler = { nice = -5 }
expect = { verdict = "deny", fault = "trap" }
`,
    );
    const { code, out } = await deputyctl('plugin', 'test', directory);
    expect(code).toBe(1);
    expect(out).toContain('6 cases: 1 passed, 5 failed');
    expect(out).toMatch(/cases\.toml:7: expected allow, got deny: never/);
    expect(out).toMatch(/cases\.toml:12: expected a reason with "too much", got "never/);
    expect(out).toMatch(/cases\.toml:17: expected effects: move threads 1 to group x; got: none/);
    expect(out).toMatch(/cases\.toml:22: took \d+ units of fuel, more than 1/);
    expect(out).toMatch(/cases\.toml:27: expected the fault trap, and there was none/);
    expect(out).not.toContain('\x1b');
  });

  it('is JSON on demand', async () => {
    const { code, out } = await deputyctl('plugin', 'test', await denier('json', NEVER), '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      results: [{ name: 'never', ok: true, verdict: 'deny' }],
    });
  });

  it('lists everything wrong with cases.toml, with its line', async () => {
    const directory = await denier(
      'bad-cases',
      `[facts]
subject = { uid = -1, shoe = 44 }

[[case]]
name = "two requests"
move_cgroup = "a"
set_memlock = { hard = "1 GB" }
expect = { verdict = "maybe" }
`,
    );
    const { code, err } = await deputyctl('plugin', 'test', directory);
    expect(code).toBe(2);
    expect(err).toMatch(/cases\.toml:2:\d+: facts\.subject\.uid: -1 is not within 0 to 4294967295/);
    expect(err).toMatch(/cases\.toml:2:\d+: unknown key facts\.subject\.shoe/);
    expect(err).toMatch(/cases\.toml:7:\d+: case\.0\.set_memlock\.hard: /);
    expect(err).toMatch(/cases\.toml:8:\d+: case\.0\.expect\.verdict: must be "allow", "deny" or "pass"/);
  });

  it.each([
    ['neither', '[[case]]\nname = "a"\nexpect = { verdict = "deny" }\n', 'must ask for exactly one thing'],
    ['twice', NEVER + NEVER, 'two cases have the name "never"'],
    ['empty', '[facts]\n', 'there is no case'],
  ])('refuses cases that prove nothing: %s', async (name, cases, reason) => {
    const { code, err } = await deputyctl('plugin', 'test', await denier(`cases-${name}`, cases));
    expect(code).toBe(2);
    expect(err).toContain(reason);
  });

  it('runs again when a case changes', { timeout: 60_000 }, async () => {
    const directory = await denier('watched', NEVER);
    const entry = resolve(import.meta.dirname, '../../../runtime/deputyctl.ts');
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', entry, 'plugin', 'test', directory, '--watch'],
      {
        cwd: resolve(import.meta.dirname, '../../..'),
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let out = '';
    const ended = once(child, 'exit');
    const reader = child.stdout[Symbol.asyncIterator]();
    const until = async (text: string): Promise<void> => {
      while (!out.includes(text)) {
        const { value, done } = await reader.next();
        if (done === true) throw new Error(`ended without ${text}: ${out}`);
        out += value;
      }
    };
    await until('1 case: 1 passed, 0 failed');
    // The watch is set up after the first run: write until it is seen.
    const touching = setInterval(
      () => writeFileSync(join(directory, 'cases.toml'), NEVER.replace('"deny"', '"pass"')),
      300,
    );
    await until('1 case: 0 passed, 1 failed');
    clearInterval(touching);
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});

describe('plugin run', () => {
  it('shows how a decision came about', async () => {
    const directory = await denier('ran', NEVER);
    const request = 'set_memlock = { hard = "1 GiB" }';
    const { code, out } = await deputyctl('plugin', 'run', directory, '--request', request);
    expect(code).toBe(1);
    expect(out).toMatch(/^deny: never\\u001b\[2J\n {2}read: nothing\n {2}fuel: \d+ of 10000000\n$/);
    expect((await deputyctl('plugin', 'run', directory, '--case', 'never')).out).toMatch(/^deny: never/);
  });

  it.each([
    [['--case', 'nobody'], 'there is no case "nobody"; there are: never'],
    [[], 'either --case or --request is needed'],
    [['--request', 'set_memlock = { hard = -1 }'], 'set_memlock.hard'],
    [['--request', 'x ='], '--request:1:'],
    [['--request', 'move_cgroup = "a"', '--facts', 'subject.uid = "me"'], 'subject.uid'],
  ])('refuses %j', async (words, reason) => {
    const { code, err } = await deputyctl('plugin', 'run', at('ran'), ...words);
    expect(code).toBe(2);
    expect(err).toContain(reason);
  });
});

describe('plugin inspect', () => {
  it('says what is in a module, and that it would be loaded', async () => {
    const { code, out } = await deputyctl('plugin', 'inspect', at('ran', 'ran.wasm'));
    expect(code).toBe(0);
    expect(out).toContain('memory 1 pages, grows to 64');
    expect(out).toMatch(/\d+ {2}deputy:policy\/hooks@1\.0\.0#decide/);
    expect(out).toContain('the daemon would load it');
  });

  it('names all that would be refused, with the byte', async () => {
    const text = `(module
      (import "env" "queueMicrotask" (func))
      (import "deputy:policy/subject@1.0.0" "uid" (func (result i64)))
      (import "deputy:policy/ledger@1.0.0" "memlock-bytes" (global i64))
      (memory (export "memory") 1)
      (func (export "cabi_realloc") (param i32) (result i32) (i32.const 0)))`;
    writeFileSync(at('refused.wasm'), assemble(text));
    const { code, out } = await deputyctl('plugin', 'inspect', at('refused.wasm'), '--json');
    expect(code).toBe(1);
    const { problems } = JSON.parse(out) as { problems: { message: string; offset?: number }[] };
    expect(problems.map(({ message }) => message)).toEqual([
      expect.stringContaining('import "env" "queueMicrotask" is not part of'),
      expect.stringContaining('is of type () -> (i64), the contract has () -> (i32)'),
      expect.stringContaining('is a global, not a function'),
      expect.stringContaining('"cabi_realloc" is of type (i32) -> (i32)'),
      expect.stringContaining('exports no function "deputy:policy/hooks@1.0.0#init"'),
      expect.stringContaining('exports no function "deputy:policy/hooks@1.0.0#decide"'),
    ]);
    expect(problems[0]?.offset).toBeGreaterThan(8);
  });

  it.each([
    ['a second memory', '(module (memory 1) (memory 1))', 'multi-memory is not supported'],
    ['too much memory', '(module (memory 65))', 'a memory of 65 pages, the limit is 64'],
  ])('refuses %s', async (name, text, reason) => {
    writeFileSync(at('one.wasm'), assemble(text));
    const { code, out } = await deputyctl('plugin', 'inspect', at('one.wasm'));
    expect(code, name).toBe(1);
    expect(out).toMatch(new RegExp(`refuse it:\\n.*${reason}.*\\(at byte \\d+\\)`));
  });

  it('refuses what is no WebAssembly, and says so of a file that is not there', async () => {
    writeFileSync(at('text.wasm'), 'hello world');
    expect(await deputyctl('plugin', 'inspect', at('text.wasm'))).toMatchObject({ code: 1 });
    const { code, err } = await deputyctl('plugin', 'inspect', at('gone.wasm'));
    expect({ code, err }).toEqual({ code: 2, err: `deputyctl: ${at('gone.wasm')}: ENOENT\n` });
  });
});

describe('plugin pin', () => {
  let digest: string;
  beforeAll(async () => {
    await denier('pinned');
    digest = createHash('sha256')
      .update(readFileSync(at('pinned', 'pinned.wasm')))
      .digest('hex');
  });

  it('writes the digest, and keeps all else of the manifest and its mode', async () => {
    const manifest = at('pinned', 'pinned.toml');
    chmodSync(manifest, 0o640);
    const { code, out } = await deputyctl('plugin', 'pin', at('pinned', 'pinned.wasm'));
    expect({ code, out }).toEqual({ code: 0, out: `${manifest}: pins ${digest}\n` });
    expect(readFileSync(manifest, 'utf8')).toBe(MANIFEST.replace('0'.repeat(64), digest));
    expect(statSync(manifest).mode & 0o777).toBe(0o640);
    expect((await deputyctl('plugin', 'pin', at('pinned'))).out).toContain('already pins');
  });

  it('adds a digest that is missing', async () => {
    const manifest = at('pinned', 'pinned.toml');
    writeFileSync(manifest, 'abi = "deputy:policy@1.0.0"\n[settings]\n');
    await deputyctl('plugin', 'pin', at('pinned'));
    expect(readFileSync(manifest, 'utf8')).toBe(
      `sha256 = "${digest}"\nabi = "deputy:policy@1.0.0"\n[settings]\n`,
    );
  });

  it.each([
    ['is not there', undefined, 'ENOENT; the manifest says what the plugin may do'],
    ['is no TOML', 'sha256 = ', 'not valid TOML'],
    ['has it over two lines', `sha256 = """\n0"""\n`, 'must stand on a line of its own'],
  ])('refuses a manifest that %s', async (_what, text, reason) => {
    const manifest = at('pinned', 'pinned.toml');
    rmSync(manifest, { force: true });
    if (text !== undefined) writeFileSync(manifest, text);
    const { code, err } = await deputyctl('plugin', 'pin', at('pinned', 'pinned.wasm'));
    expect(code).toBe(2);
    expect(err).toContain(reason);
    if (text !== undefined) expect(readFileSync(manifest, 'utf8')).toBe(text);
  });
});

it('completes the sub-commands and their options', async () => {
  const { out } = await deputyctl('__complete', '--', 'plugin', '');
  expect(out.trim().split('\n')).toEqual(['new', 'build', 'test', 'run', 'inspect', 'pin']);
  expect((await deputyctl('__complete', '--', 'plugin', 'test', '--w')).out).toBe('--watch\n');
});
