import { describe, expect, it } from 'vitest';
import { CAPS } from '../../../../runtime/sandbox/inspect/caps.ts';
import {
  COST_CLASS,
  FEATURE,
  IMMEDIATE,
  LEAVES,
  TAKES,
} from '../../../../runtime/sandbox/inspect/opcodes.ts';
import { COSTS } from '../../../../runtime/sandbox/meter/costs.ts';
import { meterModule, RESERVED } from '../../../../runtime/sandbox/meter/meter.ts';
import { assemble } from '../wat.ts';

const LIMITS = { fuel: 1_000_000n, memoryPages: 4, tableElements: 100, callDepth: 50 };

interface Run {
  readonly exports: WebAssembly.Exports;
  /** Fuel that a call takes, whether it traps or not. */
  readonly burn: (name: string, ...args: unknown[]) => bigint;
  readonly depth: WebAssembly.Global<number>;
}

function run(text: string, limits = LIMITS, imports: WebAssembly.Imports = {}): Run {
  const metered = meterModule(assemble(text), limits);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(metered.wasm), imports);
  const fuel = exports[metered.fuel] as WebAssembly.Global<bigint>;
  const depth = exports[metered.depth] as WebAssembly.Global<number>;
  return {
    exports,
    depth,
    burn(name, ...args) {
      fuel.value = limits.fuel;
      depth.value = 0;
      try {
        (exports[name] as WebAssembly.ExportFunction)(...args);
      } catch (error) {
        if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      }
      return limits.fuel - fuel.value;
    },
  };
}

describe('fuel', () => {
  it.each([
    ['nothing', '', 0],
    ['two constants and a drop each', '(drop (i32.const 1)) (drop (i32.const 2))', 4],
    ['a division', '(drop (i32.div_u (i32.const 8) (i32.const 2)))', 3 + COSTS.divide],
    ['a load', '(drop (i32.load (i32.const 8)))', 2 + COSTS.memory],
    ['a call of an empty function', '(call $empty)', COSTS.call],
    ['a return in the middle, and nothing behind it', '(return) (drop (i32.const 1))', COSTS.branch],
    ['a block that is left', '(block (br 0) (drop (i32.const 1)))', COSTS.branch],
    ['a short if by its dearer arm, taken or not', '(if (i32.const 0) (then (drop (i32.const 1))))', 4],
    [
      'a short if with two arms by the dearer one',
      '(if (i32.const 0) (then (drop (i32.const 1))) (else (drop (i32.eqz (i32.const 1)))))',
      5,
    ],
    [
      'a loop of ten turns',
      '(local.set $n (i32.const 10)) (loop (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))',
      // The local's declaration, its setting, and each turn: the loop, four instructions, the branch.
      2 + 10 * (COSTS.branch + 4 + COSTS.branch),
    ],
  ])('of %s', (_, body, cost) => {
    const local = body.includes('$n') ? 1 : 0;
    const text = `(module (memory 1) (func $empty) (func (export "f") ${local ? '(local $n i32)' : ''} ${body}))`;
    expect(run(text).burn('f')).toBe(BigInt(cost + local));
  });

  it('of locals is taken for each call', () => {
    const text = '(module (func (export "f") (local i32 i64 f64)))';
    expect(run(text).burn('f')).toBe(3n);
  });

  it.each([
    ['memory.fill', '(memory.fill (i32.const 0) (i32.const 0) (local.get $n))', (n: number) => n / 8],
    ['memory.copy', '(memory.copy (i32.const 0) (i32.const 0) (local.get $n))', (n: number) => n / 8],
    ['memory.init', '(memory.init $d (i32.const 0) (i32.const 0) (local.get $n))', (n: number) => n / 8],
    ['table.fill', '(table.fill (i32.const 0) (ref.null func) (local.get $n))', (n: number) => n * 10],
    ['table.copy', '(table.copy (i32.const 0) (i32.const 0) (local.get $n))', (n: number) => n * 10],
    ['table.init', '(table.init $e (i32.const 0) (i32.const 0) (local.get $n))', (n: number) => n * 10],
  ] as const)('of %s is by its length', (name, code, length) => {
    const text = `(module (memory 1) (table 64 funcref) (data $d "${'x'.repeat(64)}")
      (elem $e func ${'$f '.repeat(64)}) (func $f)
      (func (export "f") (param $n i32) ${code}))`;
    const { burn } = run(text);
    const none = burn('f', 0);
    expect(none).toBeGreaterThanOrEqual(BigInt(COSTS.bulk));
    expect(burn('f', 64) - none).toBe(BigInt(length(64)));
    // Out of bounds by its length alone: the trap is the engine's, and nothing is taken for what is not done.
    expect(burn('f', 0x7fffffff)).toBeLessThanOrEqual(none);
    expect(burn('f', -1), name).toBeLessThanOrEqual(none);
  });

  it('that does not cover a bulk operation ends the call before it has an effect', () => {
    const text =
      '(module (memory (export "m") 1) (func (export "f") (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536))))';
    const { burn, exports } = run(text, { ...LIMITS, fuel: 1000n });
    expect(burn('f')).toBeGreaterThan(1000n);
    expect(new Uint8Array((exports['m'] as WebAssembly.Memory).buffer)[0]).toBe(0);
  });

  it('is never more than a line below zero', () => {
    const text = `(module (func (export "f") (loop ${'(drop (i32.const 1))'.repeat(100)} (br 0))))`;
    const used = run(text).burn('f');
    expect(used).toBeGreaterThan(LIMITS.fuel);
    expect(used).toBeLessThanOrEqual(LIMITS.fuel + 202n);
  });

  it('written before a host call, and read after it: what the host takes counts', () => {
    const text =
      '(module (import "h" "f" (func $h)) (func (export "f") (drop (i32.const 1)) (call $h) (drop (i32.const 1))))';
    const metered = meterModule(assemble(text), LIMITS);
    let seen = 0n;
    const instance = new WebAssembly.Instance(new WebAssembly.Module(metered.wasm), {
      h: {
        f: () => {
          const fuel = instance.exports[metered.fuel] as WebAssembly.Global<bigint>;
          seen = LIMITS.fuel - fuel.value;
          fuel.value -= 1000n;
        },
      },
    });
    (instance.exports['f'] as WebAssembly.ExportFunction)();
    const fuel = instance.exports[metered.fuel] as WebAssembly.Global<bigint>;
    expect(seen).toBe(2n + BigInt(COSTS.call));
    expect(LIMITS.fuel - fuel.value).toBe(1000n + 4n + BigInt(COSTS.call));
  });
});

describe('depth', () => {
  const RECURSION = `(module (global $deepest (export "deepest") (mut i32) (i32.const 0))
    (func $f (export "f") (param i32) (global.set $deepest (local.get 0)) (call $f (i32.add (local.get 0) (i32.const 1)))))`;

  it.each([10, 50, 200])('of %d ends exactly there, every time', (callDepth) => {
    const { burn, exports, depth } = run(RECURSION, { ...LIMITS, callDepth });
    const deepest = exports['deepest'] as WebAssembly.Global<number>;
    for (let round = 0; round < 100; round++) {
      deepest.value = 0;
      burn('f', 1);
      expect(deepest.value).toBe(callDepth);
      expect(depth.value).toBeGreaterThan(callDepth);
    }
  });

  it('is back at zero after calls that return, by every way out', () => {
    const text = `(module (func $leaf (call $none)) (func $none)
      (func (export "f") (param $way i32) (result i32)
        (call $leaf)
        (block $b (block $a (br_table $a $b 2 (local.get $way) (local.get $way)) )
          (return (i32.const 1)))
        (call $leaf)
        (i32.const 2)))`;
    const { burn, depth } = run(
      text.replace(
        '(br_table $a $b 2 (local.get $way) (local.get $way))',
        '(br_table $a $b (local.get $way))',
      ),
    );
    for (const way of [0, 1, 2]) {
      burn('f', way);
      expect(depth.value).toBe(0);
    }
  });
});

describe('sizes', () => {
  it('clamps what memory and tables can grow to', () => {
    const text = `(module (memory (export "m") 1 1000) (table (export "t") 1 5000 funcref)
      (func (export "f") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "g") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))`;
    const { exports } = run(text);
    const [f, g] = [exports['f'] as WebAssembly.ExportFunction, exports['g'] as WebAssembly.ExportFunction];
    expect([f(4), f(3), f(1), f(0)]).toEqual([-1, 1, -1, 4]);
    expect([g(100), g(99), g(1), g(0)]).toEqual([-1, 1, -1, 100]);
  });

  it('keeps a lower maximum of the module', () => {
    const { exports } = run('(module (memory (export "m") 1 2))');
    expect(() => (exports['m'] as WebAssembly.Memory).grow(2)).toThrow(RangeError);
  });
});

describe('what the meter leaves as it is', () => {
  it('every index, the names, and no other custom section', () => {
    const wasm = assemble(
      '(module (global $g (mut i32) (i32.const 1)) (memory 1) (func $named (export "f") (local $l i64)))',
    );
    const section = Uint8Array.from([0, 10, 9, ...Buffer.from('producers')]);
    const metered = meterModule(Buffer.concat([wasm, section]), LIMITS);
    const module = new WebAssembly.Module(metered.wasm);
    expect(WebAssembly.Module.customSections(module, 'name')).toHaveLength(1);
    expect(WebAssembly.Module.customSections(module, 'producers')).toHaveLength(0);
    expect(WebAssembly.Module.exports(module).map((one) => one.name)).toEqual([
      'f',
      `${RESERVED}fuel`,
      `${RESERVED}depth`,
      `${RESERVED}memory`,
      `${RESERVED}global-0`,
    ]);
  });

  it('its input, to the byte', () => {
    const wasm = assemble('(module (func (export "f") (loop (br 0))))');
    const before = wasm.slice();
    meterModule(wasm, LIMITS);
    expect(wasm).toEqual(before);
  });
});

describe('what a snapshot would not hold', () => {
  it.each([
    ['a table that is written', '(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))', true],
    [
      'a table that grows',
      '(table 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 1))))',
      true,
    ],
    ['a segment that is dropped', '(data $d "x") (memory 1) (func (data.drop $d))', true],
    ['an element segment that is dropped', '(table 1 funcref) (elem $e func 0) (func (elem.drop $e))', true],
    [
      'memory and globals',
      '(memory 1) (global $g (mut i64) (i64.const 0)) (func (global.set $g (i64.const 1)))',
      false,
    ],
  ])('%s', (_, body, replay) => {
    expect(meterModule(assemble(`(module ${body})`), LIMITS).replay).toBe(replay);
  });
});

describe('the caps', () => {
  it.each([
    ['types', { types: 1 }, '(type (func)) (type (func (param i32)))', '2 types, the limit is 1'],
    ['functions', { functions: 1 }, '(func) (func)', '2 functions, the limit is 1'],
    ['imports', { imports: 0 }, '(import "a" "b" (func))', '1 imports, the limit is 0'],
    ['exports', { exports: 0 }, '(func (export "f"))', '1 exports, the limit is 0'],
    ['globals', { globals: 0 }, '(global i32 (i32.const 0))', '1 globals, the limit is 0'],
    ['locals', { locals: 2 }, '(func (param i32 i32) (local i32))', 'more than 2 locals and parameters'],
    [
      'bytes of a function',
      { functionBytes: 3 },
      '(func (drop (i32.const 1)))',
      'a function of 5 bytes, the limit is 3',
    ],
    ['nesting', { nesting: 1 }, '(func (block))', 'blocks nested deeper than 1'],
    [
      'br_table targets',
      { branchTargets: 1 },
      '(func (br_table 0 0 0 (i32.const 0)))',
      '2 br_table targets, the limit is 1',
    ],
    [
      'data segments',
      { dataSegments: 0 },
      '(memory 1) (data (i32.const 0) "x")',
      '1 data segments, the limit is 0',
    ],
    [
      'elements',
      { elements: 1 },
      '(table 2 funcref) (elem (i32.const 0) 0 0) (func)',
      '2 elements, the limit is 1',
    ],
    [
      'operands',
      { frameSlots: 2 },
      '(func (i32.const 1) (i32.const 1) (i32.const 1) drop drop drop)',
      '3 locals and operands in a function, the limit is 2',
    ],
  ])('on %s', (_, caps, body, message) => {
    expect(() => meterModule(assemble(`(module ${body})`), LIMITS, { ...CAPS, ...caps })).toThrowError(
      expect.objectContaining({
        reason: 'limit',
        message: expect.stringContaining(message),
        offset: expect.any(Number),
      }),
    );
  });
});

describe('the tables', () => {
  it('have a cost, and a place for operands, for every instruction that is not refused', () => {
    for (let code = 0; code < IMMEDIATE.length; code++) {
      expect(COST_CLASS[code] === undefined).toBe(IMMEDIATE[code] === 0);
      if (IMMEDIATE[code] === 0) expect([TAKES[code], LEAVES[code], FEATURE[code]]).toEqual([0, 0, 0]);
    }
  });
});
