;; A whole plugin by hand: allows memlock up to 1 GiB for uid 1000, clamps nothing, denies everybody else.
(module
  (import "deputy:policy/subject@1.0.0" "uid" (func $uid (result i32)))
  (import "deputy:policy/target@1.0.0" "memlock" (func $memlock (param i32)))
  (import "deputy:policy/ledger@1.0.0" "memlock-bytes" (func $held (result i64)))
  (import "deputy:policy/effects@1.0.0" "set-memlock" (func $set-memlock (param i64 i64 i32)))
  (import "deputy:policy/log@1.0.0" "write" (func $log (param i32 i32 i32)))

  (memory (export "memory") 1)
  (data (i32.const 16) "only uid 1000 may lock memory")
  (data (i32.const 64) "no operation but set-memlock")
  (data (i32.const 96) "too much")
  (data (i32.const 128) "deciding")
  (global $heap (mut i32) (i32.const 1024))

  ;; Verdict at 0: tag u8, string at 4 and 8. Memlock fact at 256 (32 bytes), result of set-memlock at 300 (16 bytes).
  (func $deny (param $ptr i32) (param $len i32) (result i32)
    (i32.store8 (i32.const 0) (i32.const 1))
    (i32.store (i32.const 4) (local.get $ptr))
    (i32.store (i32.const 8) (local.get $len))
    (i32.const 0))

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

  (func (export "deputy:policy/hooks@1.0.0#decide")
    (param $op i32) (param $soft-tag i32) (param $soft i64) (param $hard-tag i32) (param $hard i64)
    (param i32 i32 i32 i32 i32) (result i32)
    (call $log (i32.const 1) (i32.const 128) (i32.const 8))
    (if (local.get $op) (then (return (call $deny (i32.const 64) (i32.const 28)))))
    (if (i32.ne (call $uid) (i32.const 1000))
      (then (return (call $deny (i32.const 16) (i32.const 29)))))
    (call $memlock (i32.const 256))
    (if (i64.gt_u (i64.add (call $held) (local.get $hard)) (i64.const 1073741824))
      (then (return (call $deny (i32.const 96) (i32.const 8)))))
    (call $set-memlock (local.get $soft) (local.get $hard) (i32.const 300))
    (if (i32.load8_u (i32.const 300))
      (then (return (call $deny (i32.load (i32.const 308)) (i32.load (i32.const 312))))))
    (i32.store8 (i32.const 0) (i32.const 0))
    (i32.const 0)))
