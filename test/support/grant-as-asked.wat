;; Stages what is asked, for whatever is addressed. Where the ceilings refuse, it denies with their reason.
(module
  (import "deputy:policy/effects@1.0.0" "set-memlock" (func $set-memlock (param i64 i64 i32)))
  (import "deputy:policy/effects@1.0.0" "set-memlock-unlimited" (func $set-unlimited (param i32)))
  (import "deputy:policy/effects@1.0.0" "move-cgroup" (func $move-cgroup (param i32 i32 i32 i32 i32 i32)))
  (import "deputy:policy/effects@1.0.0" "set-scheduler"
    (func $set-scheduler (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))

  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 1024))

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $block i32)
    (local.set $block
      (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get 2) (i32.const 1)))
        (i32.xor (i32.sub (local.get 2) (i32.const 1)) (i32.const -1))))
    (global.set $heap (i32.add (local.get $block) (local.get 3)))
    (local.get $block))

  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32)
    (i32.store8 (i32.const 0) (i32.const 0))
    (i32.const 0))

  ;; The joined payload: memlock (tag, bytes, tag, bytes), a group (text), or scheduling (four options).
  (func (export "deputy:policy/hooks@1.0.0#decide")
    (param $op i32) (param $a i32) (param $b i64) (param $c i32) (param $d i64)
    (param $e i32) (param $f i32) (param $g i32) (param $h i32) (param $i i32) (result i32)
    ;; Verdict at 0: tag u8, reason at 4 and 8. result<_, refusal> at 300: tag u8, code at 304, message at 308 and 312.
    (if (i32.eq (local.get $op) (i32.const 0))
      (then
        (if (local.get $c)
          (then (call $set-unlimited (i32.const 300)))
          (else (call $set-memlock (local.get $b) (local.get $d) (i32.const 300))))))
    (if (i32.eq (local.get $op) (i32.const 1))
      (then
        (call $move-cgroup
          (local.get $a) (i32.wrap_i64 (local.get $b))
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 300))))
    (if (i32.eq (local.get $op) (i32.const 2))
      (then
        (call $set-scheduler
          (i32.const 0) (i32.const 0) (i32.const 0)
          (local.get $a) (i32.wrap_i64 (local.get $b)) (local.get $c) (i32.wrap_i64 (local.get $d))
          (local.get $e) (local.get $f) (local.get $g) (local.get $h) (local.get $i)
          (i32.const 300))))
    (i32.store8 (i32.const 0) (i32.const 0))
    (if (i32.load8_u (i32.const 300))
      (then
        (i32.store8 (i32.const 0) (i32.const 1))
        (i32.store (i32.const 4) (i32.load (i32.const 308)))
        (i32.store (i32.const 8) (i32.load (i32.const 312)))))
    (i32.const 0)))
