;; Traps when it is asked for memory.
;; expect: decide trap unreachable in decide
(module
  (import "deputy:policy/subject@1.0.0" "labels" (func $labels (param i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (if (i32.gt_u (local.get 3) (i32.const 20)) (then (unreachable)))
    (i32.const 4096))
  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "deputy:policy/hooks@1.0.0#decide")
    (param $op i32) (param $soft-tag i32) (param $soft i64) (param $hard-tag i32) (param $hard i64)
    (param i32 i32 i32 i32 i32) (result i32)
    (call $labels (i32.const 256))
    (i32.const 0)))
