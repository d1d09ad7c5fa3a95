;; Locked memory up to a limit for one user, placement of what is not realtime, and no realtime at all: by hand.
(module
  (import "deputy:policy/subject@1.0.0" "uid" (func $uid (result i32)))
  (import "deputy:policy/target@1.0.0" "memory-limit" (func $memory-limit (param i32)))
  (import "deputy:policy/target@1.0.0" "threads" (func $threads (param i32)))
  (import "deputy:policy/effects@1.0.0" "set-memlock" (func $set-memlock (param i64 i64 i32)))
  (import "deputy:policy/effects@1.0.0" "move-cgroup" (func $move-cgroup (param i32 i32 i32 i32 i32 i32)))
  (import "deputy:policy/effects@1.0.0" "set-scheduler"
    (func $set-scheduler (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))

  (memory (export "memory") 1)
  (global $user (mut i64) (i64.const 0))
  (global $max-memlock (mut i64) (i64.const 0))
  ;; Blocks for the host, and behind them the text of a denial.
  (global $heap (mut i32) (i32.const 4096))
  ;; The end of the text that is being written.
  (global $text (mut i32) (i32.const 0))

  ;; 0: the answer (tag at 0, text at 4 and 8). 16: what the host returns. Texts from 64 on.
  (data (i32.const 64) "\"uid\":")
  (data (i32.const 96) "\"max_memlock\":")
  (data (i32.const 128) "uid must be an integer from 0 on")
  (data (i32.const 176) "max_memlock must be a number of bytes")
  (data (i32.const 224) "uid ")
  (data (i32.const 240) " may not ask")
  (data (i32.const 256) "more than ")
  (data (i32.const 272) " bytes of locked memory")
  (data (i32.const 304) "more than the ")
  (data (i32.const 320) " bytes that its cgroup may use")
  (data (i32.const 352) "thread ")
  (data (i32.const 368) " is realtime and stays where it is")
  (data (i32.const 416) "realtime is not for this policy")

  ;; The host only asks for new blocks. Grows by what is missing; nothing is freed, since memory is reset.
  (func $realloc (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32)
    (result i32)
    (local $block i32) (local $have i32)
    (local.set $block (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
    (global.set $heap (i32.add (local.get $block) (local.get $size)))
    (if (i32.lt_u (global.get $heap) (local.get $block)) (then (unreachable)))
    (local.set $have (i32.shl (memory.size) (i32.const 16)))
    (if (i32.gt_u (global.get $heap) (local.get $have))
      (then
        (if (i32.eq (i32.const -1)
              (memory.grow
                (i32.shr_u
                  (i32.add (i32.sub (global.get $heap) (local.get $have)) (i32.const 65535))
                  (i32.const 16))))
          (then (unreachable)))))
    (local.get $block))

  ;; Whether `len` bytes at `a` and `b` are the same.
  (func $same (param $a i32) (param $b i32) (param $len i32) (result i32)
    (loop $next
      (if (i32.eqz (local.get $len)) (then (return (i32.const 1))))
      (local.set $len (i32.sub (local.get $len) (i32.const 1)))
      (br_if $next
        (i32.eq
          (i32.load8_u (i32.add (local.get $a) (local.get $len)))
          (i32.load8_u (i32.add (local.get $b) (local.get $len))))))
    (i32.const 0))

  ;; The number behind `"key":` in the settings; -1 where there is none.
  (func $setting (param $ptr i32) (param $len i32) (param $key i32) (param $key-len i32) (result i64)
    (local $end i32) (local $value i64) (local $digit i32) (local $any i32)
    (local.set $end (i32.add (local.get $ptr) (local.get $len)))
    (block $found
      (loop $search
        (if (i32.ge_u (i32.add (local.get $ptr) (local.get $key-len)) (local.get $end))
          (then (return (i64.const -1))))
        (br_if $found (call $same (local.get $ptr) (local.get $key) (local.get $key-len)))
        (local.set $ptr (i32.add (local.get $ptr) (i32.const 1)))
        (br $search)))
    (local.set $ptr (i32.add (local.get $ptr) (local.get $key-len)))
    (loop $digits
      (local.set $digit (i32.sub (i32.load8_u (local.get $ptr)) (i32.const 48)))
      (if (i32.lt_u (local.get $digit) (i32.const 10))
        (then
          (local.set $any (i32.const 1))
          (local.set $value
            (i64.add (i64.mul (local.get $value) (i64.const 10)) (i64.extend_i32_u (local.get $digit))))
          (local.set $ptr (i32.add (local.get $ptr) (i32.const 1)))
          (br $digits))))
    (select (local.get $value) (i64.const -1) (local.get $any)))

  (func $append (param $ptr i32) (param $len i32)
    (memory.copy (global.get $text) (local.get $ptr) (local.get $len))
    (global.set $text (i32.add (global.get $text) (local.get $len))))

  (func $append-number (param $number i64)
    (if (i64.ge_u (local.get $number) (i64.const 10))
      (then (call $append-number (i64.div_u (local.get $number) (i64.const 10)))))
    (i32.store8 (global.get $text)
      (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $number) (i64.const 10)))))
    (global.set $text (i32.add (global.get $text) (i32.const 1))))

  (func $answer (param $tag i32) (param $ptr i32) (param $len i32) (result i32)
    (i32.store8 (i32.const 0) (local.get $tag))
    (i32.store (i32.const 4) (local.get $ptr))
    (i32.store (i32.const 8) (local.get $len))
    (i32.const 0))

  ;; Denies with two texts and a number between them.
  (func $deny (param $before i32) (param $before-len i32) (param $number i64) (param $after i32) (param $after-len i32)
    (result i32)
    (local $start i32)
    (local.set $start (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 128)))
    (global.set $text (local.get $start))
    (call $append (local.get $before) (local.get $before-len))
    (call $append-number (local.get $number))
    (call $append (local.get $after) (local.get $after-len))
    (call $answer (i32.const 1) (local.get $start) (i32.sub (global.get $text) (local.get $start))))

  ;; Allow if the effect at 16 was staged, else deny with the refusal's message.
  (func $staged (result i32)
    (if (i32.load8_u (i32.const 16))
      (then (return (call $answer (i32.const 1) (i32.load (i32.const 24)) (i32.load (i32.const 28))))))
    (call $answer (i32.const 0) (i32.const 0) (i32.const 0)))

  (func $realtime (param $policy i32) (result i32)
    (i32.or (i32.eq (local.get $policy) (i32.const 3)) (i32.eq (local.get $policy) (i32.const 4))))

  (func (export "deputy:policy/hooks@1.0.0#init") (param $ptr i32) (param $len i32) (result i32)
    (global.set $user (call $setting (local.get $ptr) (local.get $len) (i32.const 64) (i32.const 6)))
    (if (i64.lt_s (global.get $user) (i64.const 0))
      (then (return (call $answer (i32.const 1) (i32.const 128) (i32.const 32)))))
    (global.set $max-memlock (call $setting (local.get $ptr) (local.get $len) (i32.const 96) (i32.const 14)))
    (if (i64.lt_s (global.get $max-memlock) (i64.const 0))
      (then (return (call $answer (i32.const 1) (i32.const 176) (i32.const 37)))))
    (call $answer (i32.const 0) (i32.const 0) (i32.const 0)))

  (func $decide-memlock (param $soft-tag i32) (param $soft i64) (param $hard-tag i32) (param $hard i64) (result i32)
    (if (i32.or (local.get $hard-tag) (i64.gt_u (local.get $hard) (global.get $max-memlock)))
      (then
        (return
          (call $deny
            (i32.const 256) (i32.const 10) (global.get $max-memlock) (i32.const 272) (i32.const 23)))))
    (call $memory-limit (i32.const 16))
    (if (i32.load8_u (i32.const 16))
      (then
        (if (i64.gt_u (local.get $hard) (i64.load (i32.const 24)))
          (then
            (return
              (call $deny
                (i32.const 304) (i32.const 14) (i64.load (i32.const 24)) (i32.const 320) (i32.const 30)))))))
    (call $set-memlock
      (select (i64.const -1) (local.get $soft) (local.get $soft-tag))
      (local.get $hard)
      (i32.const 16))
    (call $staged))

  ;; A thread takes 40 bytes: tid at 0, policy at 12.
  (func $decide-cgroup (param $group i32) (param $group-len i32) (result i32)
    (local $thread i32) (local $end i32)
    (call $threads (i32.const 16))
    (local.set $thread (i32.load (i32.const 16)))
    (local.set $end (i32.add (local.get $thread) (i32.mul (i32.load (i32.const 20)) (i32.const 40))))
    (loop $next
      (if (i32.lt_u (local.get $thread) (local.get $end))
        (then
          (if (call $realtime (i32.load8_u offset=12 (local.get $thread)))
            (then
              (return
                (call $deny
                  (i32.const 352) (i32.const 7) (i64.load32_u (local.get $thread))
                  (i32.const 368) (i32.const 34)))))
          (local.set $thread (i32.add (local.get $thread) (i32.const 40)))
          (br $next))))
    (call $move-cgroup
      (local.get $group) (local.get $group-len) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 16))
    (call $staged))

  ;; The cases of `operation` share flat slots, each as wide as its widest user.
  (func (export "deputy:policy/hooks@1.0.0#decide")
    (param $op i32) (param $a i32) (param $b i64) (param $c i32) (param $d i64)
    (param $e i32) (param $f i32) (param $g i32) (param $h i32) (param $i i32) (result i32)
    (if (i64.ne (i64.extend_i32_u (call $uid)) (global.get $user))
      (then
        (return
          (call $deny
            (i32.const 224) (i32.const 4) (i64.extend_i32_u (call $uid)) (i32.const 240) (i32.const 12)))))
    (if (i32.eqz (local.get $op))
      (then (return (call $decide-memlock (local.get $a) (local.get $b) (local.get $c) (local.get $d)))))
    (if (i32.eq (local.get $op) (i32.const 1))
      (then (return (call $decide-cgroup (local.get $a) (i32.wrap_i64 (local.get $b))))))
    (if (i32.and (local.get $a) (call $realtime (i32.wrap_i64 (local.get $b))))
      (then (return (call $answer (i32.const 1) (i32.const 416) (i32.const 31)))))
    (call $set-scheduler
      (i32.const 0) (i32.const 0) (i32.const 0)
      (local.get $a) (i32.wrap_i64 (local.get $b)) (local.get $c) (i32.wrap_i64 (local.get $d))
      (local.get $e) (local.get $f) (local.get $g) (local.get $h) (local.get $i)
      (i32.const 16))
    (call $staged)))
