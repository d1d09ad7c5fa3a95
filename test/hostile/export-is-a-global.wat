;; Exports a global by the name of decide.
;; expect: load export is a global, not a function
(module
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -8))))
  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32) (i32.const 0))
  (global (export "deputy:policy/hooks@1.0.0#decide") i32 (i32.const 0)))
