/** A guest that answers with any bytes and any pointers: the host throws nothing, and believes nothing. */
import * as fc from 'fast-check';
import { loadPlugin } from '../../../runtime/sandbox/plugin.ts';
import { DEFAULT_LIMITS, type Plugin, SandboxError } from '../../../runtime/sandbox/seam.ts';
import { CEILINGS, input, SET_MEMLOCK, source } from '../../runtime/sandbox/inputs.ts';
import { assemble } from '../../runtime/sandbox/wat.ts';
import { demand, type Target } from '../target.ts';

/** What the guest answers with: its memory from 0 on, and all that it says, as 16 numbers behind that. */
const DATA_BYTES = 256;
const MARK = 'deputy-fuzz-data';

const TEXT = `(module
  (import "deputy:policy/subject@1.0.0" "labels" (func $labels (param i32)))
  (import "deputy:policy/subject@1.0.0" "label" (func $label (param i32 i32 i32)))
  (import "deputy:policy/target@1.0.0" "threads" (func $threads (param i32)))
  (import "deputy:policy/log@1.0.0" "write" (func $log (param i32 i32 i32)))
  (import "deputy:policy/effects@1.0.0" "set-memlock" (func $memlock (param i64 i64 i32)))
  (import "deputy:policy/effects@1.0.0" "move-cgroup" (func $cgroup (param i32 i32 i32 i32 i32 i32)))
  (import "deputy:policy/effects@1.0.0" "set-scheduler"
    (func $scheduler (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "${MARK}${'.'.repeat(DATA_BYTES - MARK.length)}")
  (func $n (param i32) (result i32) (i32.load (i32.add (i32.const ${DATA_BYTES - 64}) (i32.shl (local.get 0) (i32.const 2)))))
  (global $calls (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (result i32) (i32.and (call $n (i32.const 15)) (i32.const 1))
      (then (call $n (i32.and (global.get $calls) (i32.const 7))))
      (else (i32.const 4096))))
  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32) (i32.const 40000))
  (func (export "deputy:policy/hooks@1.0.0#decide") (param i32 i32 i64 i32 i64 i32 i32 i32 i32 i32) (result i32)
    (local $what i32)
    (local.set $what (call $n (i32.const 14)))
    (if (i32.and (local.get $what) (i32.const 1)) (then (call $labels (call $n (i32.const 0)))))
    (if (i32.and (local.get $what) (i32.const 2))
      (then (call $label (call $n (i32.const 1)) (call $n (i32.const 2)) (call $n (i32.const 3)))))
    (if (i32.and (local.get $what) (i32.const 4)) (then (call $threads (call $n (i32.const 4)))))
    (if (i32.and (local.get $what) (i32.const 8))
      (then (call $log (call $n (i32.const 5)) (call $n (i32.const 6)) (call $n (i32.const 7)))))
    (if (i32.and (local.get $what) (i32.const 16))
      (then (call $memlock (i64.load (i32.const 16)) (i64.load (i32.const 24)) (call $n (i32.const 8)))))
    (if (i32.and (local.get $what) (i32.const 32))
      (then (call $cgroup (call $n (i32.const 0)) (call $n (i32.const 1)) (call $n (i32.const 2)) (call $n (i32.const 3))
        (call $n (i32.const 4)) (call $n (i32.const 5)))))
    (if (i32.and (local.get $what) (i32.const 64))
      (then (call $scheduler (call $n (i32.const 0)) (call $n (i32.const 1)) (call $n (i32.const 2)) (call $n (i32.const 3))
        (call $n (i32.const 4)) (call $n (i32.const 5)) (call $n (i32.const 6)) (call $n (i32.const 7))
        (call $n (i32.const 8)) (call $n (i32.const 9)) (call $n (i32.const 10)) (call $n (i32.const 11))
        (call $n (i32.const 12)))))
    (call $n (i32.const 13))))`;

export function open(): Target {
  const wasm = assemble(TEXT);
  const at = Buffer.from(wasm).indexOf(MARK);
  // Small numbers, ends of the memory, and anything.
  const number = fc.oneof(
    fc.nat(300),
    fc.integer({ min: 65_500, max: 65_540 }),
    fc.constantFrom(0, 1, 4, 8, 0x7fffffff, -1, -4, -8, 4096),
    fc.integer(),
  );
  return {
    name: 'abi',
    inputs: fc
      .tuple(
        fc.uint8Array({ minLength: DATA_BYTES - 64, maxLength: DATA_BYTES - 64 }),
        fc.array(number, { minLength: 16, maxLength: 16 }),
      )
      .map(([data, numbers]) => Buffer.concat([data, Buffer.from(Int32Array.from(numbers).buffer)])),
    async check(bytes) {
      const copy = wasm.slice();
      copy.set(bytes.subarray(0, DATA_BYTES), at);
      let plugin: Plugin;
      try {
        plugin = await loadPlugin(source(copy));
      } catch (error) {
        if (error instanceof SandboxError) return;
        throw error;
      }
      const asked = input();
      const first = plugin.decide(asked);
      if (first.fault !== undefined) demand(first.verdict.tag === 'deny', 'a fault that is no denial');
      if (first.verdict.tag !== 'allow') demand(first.effects.length === 0, 'effects without an allow');
      demand(first.fuelUsed <= DEFAULT_LIMITS.fuel, 'more fuel than there is');
      for (const effect of first.effects) {
        if (effect.tag !== 'set-memlock') continue;
        const { hard } = effect;
        demand(hard.tag === 'bytes' && hard.val <= (CEILINGS.memlock?.maxBytes ?? 0n), 'above the ceiling');
      }
      const text = (value: unknown): string =>
        JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}` : one));
      demand(text(plugin.decide(asked)) === text(first), 'the second decision is another');
      plugin.decide(input(SET_MEMLOCK));
    },
  };
}
