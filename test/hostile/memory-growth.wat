;; Grows as far as it can get, and says so: 64 pages, as the limit is.
;; expect: decide deny pages: 64
(module
  (memory (export "memory") 1)
  (data (i32.const 1024) "pages: ")
  (global $heap (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -8))))
  (func (export "deputy:policy/hooks@1.0.0#init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "deputy:policy/hooks@1.0.0#decide")
    (param $op i32) (param $soft-tag i32) (param $soft i64) (param $hard-tag i32) (param $hard i64)
    (param i32 i32 i32 i32 i32) (result i32)
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (i32.store8 (i32.const 1031) (i32.add (i32.const 48) (i32.div_u (memory.size) (i32.const 10))))
    (i32.store8 (i32.const 1032) (i32.add (i32.const 48) (i32.rem_u (memory.size) (i32.const 10))))
    (i32.store8 (i32.const 0) (i32.const 1))
    (i32.store (i32.const 4) (i32.const 1024))
    (i32.store (i32.const 8) (i32.const 9))
    (i32.const 0)))
