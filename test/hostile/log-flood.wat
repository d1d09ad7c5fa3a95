;; Logs 1 KiB five hundred times: what is beyond log_bytes is dropped and counted.
;; expect: decide allow
(module
  (import "deputy:policy/log@1.0.0" "write" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -8))))
  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "deputy:policy/hooks@1.0.0#decide")
    (param $op i32) (param $soft-tag i32) (param $soft i64) (param $hard-tag i32) (param $hard i64)
    (param i32 i32 i32 i32 i32) (result i32)
    (local $n i32)
    (local.set $n (i32.const 500))
    (loop $again
      (call $log (i32.const 1) (i32.const 1024) (i32.const 1024))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
