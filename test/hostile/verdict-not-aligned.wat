;; Returns a pointer that is not aligned.
;; expect: decide abi the verdict at 2 is not aligned to 4
(module
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -8))))
  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "deputy:policy/hooks@1.0.0#decide")
    (param $op i32) (param $soft-tag i32) (param $soft i64) (param $hard-tag i32) (param $hard i64)
    (param i32 i32 i32 i32 i32) (result i32)
    (i32.const 2)))
