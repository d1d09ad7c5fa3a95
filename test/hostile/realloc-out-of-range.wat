;; Hands out memory that it does not have.
;; expect: decide abi exceeds the memory of 65536
(module
  (import "deputy:policy/subject@1.0.0" "labels" (func $labels (param i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (select (i32.const 65528) (i32.const 4096) (i32.eq (local.get 2) (i32.const 4))))
  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "deputy:policy/hooks@1.0.0#decide")
    (param $op i32) (param $soft-tag i32) (param $soft i64) (param $hard-tag i32) (param $hard i64)
    (param i32 i32 i32 i32 i32) (result i32)
    (call $labels (i32.const 256))
    (i32.const 0)))
