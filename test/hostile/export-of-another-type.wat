;; Exports decide with parameters of other types: the engine would convert numbers until they fit.
;; expect: load export is of type (f64) -> (i32), the contract has (i32, i32, i64, i32, i64, i32, i32, i32, i32, i32) -> (i32)
(module
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -8))))
  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "deputy:policy/hooks@1.0.0#decide") (param f64) (result i32) (i32.const 0)))
