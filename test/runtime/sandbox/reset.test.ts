import { describe, expect, it } from 'vitest';
import { loadPlugin } from '../../../runtime/sandbox/plugin.ts';
import { input, source } from './inputs.ts';
import { assemble } from './wat.ts';

/** A plugin that answers with the byte that `$peek` finds, in its reason, and leaves a trace by `$poke`. */
function leaky(state: string, peek: string, poke: string, realloc = '(i32.const 4096)'): Uint8Array {
  return assemble(`(module
    (import "deputy:policy/subject@1.0.0" "scope" (func $scope (param i32)))
    (memory (export "memory") 1)
    ${state}
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) ${realloc})
    (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32) (i32.const 0))
    (func $peek (result i32) ${peek})
    (func $poke ${poke})
    (func (export "deputy:policy/hooks@1.0.0#decide")
      (param i32 i32 i64 i32 i64 i32 i32 i32 i32 i32) (result i32)
      (i32.store8 (i32.const 64) (i32.add (i32.const 65) (call $peek)))
      (call $poke)
      (i32.store8 (i32.const 0) (i32.const 1))
      (i32.store (i32.const 4) (i32.const 64))
      (i32.store (i32.const 8) (i32.const 1))
      (i32.const 0)))`);
}

const CASES: readonly (readonly [what: string, ...parts: [string, string, string]])[] = [
  ['memory', '', '(i32.load (i32.const 2048))', '(i32.store (i32.const 2048) (i32.const 1))'],
  ['a global', '(global $g (mut i32) (i32.const 0))', '(global.get $g)', '(global.set $g (i32.const 1))'],
  [
    'a global of 64 bits',
    '(global $g (mut i64) (i64.const 0))',
    '(i32.wrap_i64 (global.get $g))',
    '(global.set $g (i64.const 1))',
  ],
  [
    'a global that is a reference',
    '(global $g (mut funcref) (ref.null func)) (elem declare func $poke)',
    '(i32.eqz (ref.is_null (global.get $g)))',
    '(global.set $g (ref.func $poke))',
  ],
  ['grown memory', '', '(i32.sub (memory.size) (i32.const 1))', '(drop (memory.grow (i32.const 1)))'],
  [
    'a table',
    '(table $t 1 funcref) (elem declare func $poke)',
    '(i32.eqz (ref.is_null (table.get $t (i32.const 0))))',
    '(table.set $t (i32.const 0) (ref.func $poke))',
  ],
  [
    'a grown table',
    '(table $t 1 funcref)',
    '(i32.sub (table.size $t) (i32.const 1))',
    '(drop (table.grow $t (ref.null func) (i32.const 1)))',
  ],
  [
    'a table, by elements of a segment',
    '(table $t 1 funcref) (elem $e func $poke)',
    '(i32.eqz (ref.is_null (table.get $t (i32.const 0))))',
    '(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1))',
  ],
  [
    'a data segment that was dropped',
    '(data $d "B")',
    // Would trap the second time.
    '(memory.init $d (i32.const 2000) (i32.const 0) (i32.const 1)) (i32.const 0)',
    '(data.drop $d)',
  ],
  [
    'an element segment that was dropped',
    '(table $t 1 funcref) (elem $e func $poke)',
    '(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1)) (i32.const 0)',
    '(elem.drop $e)',
  ],
];

describe('nothing of a decision is seen by the next', () => {
  for (const [what, state, peek, poke] of CASES) {
    it(`through ${what}`, async () => {
      const plugin = await loadPlugin(source(leaky(state, peek, poke)));
      for (let round = 0; round < 5; round++) {
        const { verdict, fault } = plugin.decide(input());
        expect(fault).toBeUndefined();
        expect(verdict).toEqual({ tag: 'deny', val: 'A' });
        if (round % 2 === 0) plugin.reset();
      }
    });
  }

  it('through what cabi_realloc remembers', async () => {
    const wasm = leaky(
      '(global $heap (mut i32) (i32.const 8192))',
      // Where the scope's text was put: the same place each time, or the letter changes.
      '(call $scope (i32.const 1024)) (i32.shr_u (i32.sub (i32.load (i32.const 1024)) (i32.const 8192)) (i32.const 10))',
      '(nop)',
      '(global.get $heap) (global.set $heap (i32.add (global.get $heap) (i32.const 1024)))',
    );
    const plugin = await loadPlugin(source(wasm));
    const first = plugin.decide(input());
    expect(first.fault).toBeUndefined();
    for (let round = 0; round < 20; round++) expect(plugin.decide(input())).toEqual(first);
  });

  it('after a trap, which leaves everything where it was', async () => {
    const wasm = leaky(
      '(global $g (mut i32) (i32.const 0))',
      '(global.get $g)',
      '(global.set $g (i32.const 1)) (i32.store (i32.const 2048) (i32.const 1)) (unreachable)',
    );
    const plugin = await loadPlugin(source(wasm));
    const first = plugin.decide(input());
    expect(first.fault).toMatchObject({ kind: 'trap' });
    for (let round = 0; round < 5; round++) expect(plugin.decide(input())).toEqual(first);
  });

  it('and what init made is there each time, where init must be run again for it', async () => {
    const wasm = assemble(`(module
      (memory (export "memory") 1) (table $t 1 funcref) (elem declare func $f) (func $f)
      (global $g (mut i32) (i32.const 0))
      (func $start (global.set $g (i32.const 1))) (start $start)
      (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
      (func (export "deputy:policy/hooks@1.0.0#init") (param $ptr i32) (param $len i32) (result i32)
        (table.set $t (i32.const 0) (ref.func $f))
        (global.set $g (i32.add (global.get $g) (local.get $len)))
        (i32.const 0))
      (func (export "deputy:policy/hooks@1.0.0#decide")
        (param i32 i32 i64 i32 i64 i32 i32 i32 i32 i32) (result i32)
        ;; 1 of the start function, 15 of the settings, and the table is filled.
        (if (i32.or (ref.is_null (table.get $t (i32.const 0))) (i32.ne (global.get $g) (i32.const 16)))
          (then (unreachable)))
        (table.set $t (i32.const 0) (ref.null func))
        (global.set $g (i32.const 0))
        (i32.const 0)))`);
    const plugin = await loadPlugin(source(wasm));
    for (let round = 0; round < 5; round++) {
      expect(plugin.decide(input())).toMatchObject({ verdict: { tag: 'allow' }, fault: undefined });
    }
  });
});
