/*
 * The contract deputy:policy@1.0.0 for C and C++: imports, exports and memory, in one header for one source file.
 * Structs have the layout of the canonical ABI, which is that of C on wasm32. Include it once, and define
 *
 *     static const char *init(deputy_string settings);                  // NULL: settings are good
 *     static deputy_verdict decide(const deputy_operation *operation);
 *
 * Freestanding by default: memory is taken and never given back, since the daemon resets it after each decision.
 * With DEPUTY_MALLOC defined, blocks come from malloc instead (wasi-libc).
 */
#ifndef DEPUTY_H
#define DEPUTY_H

#include <stddef.h>
#include <stdint.h>
#ifdef DEPUTY_MALLOC
#include <stdlib.h>
#endif

#ifdef __cplusplus
#define DEPUTY_C extern "C"
#define DEPUTY_ASSERT static_assert
#else
#include <stdbool.h>
#define DEPUTY_C
#define DEPUTY_ASSERT _Static_assert
#endif
#define DEPUTY_IMPORT(iface, name) \
  DEPUTY_C __attribute__((import_module("deputy:policy/" iface "@1.0.0"), import_name(name)))
#define DEPUTY_EXPORT(name) DEPUTY_C __attribute__((export_name(name), used))

/* UTF-8, without a terminator. */
typedef struct {
  const char *ptr;
  uint32_t len;
} deputy_string;

typedef struct {
  uint8_t unlimited;
  uint64_t bytes;
} deputy_limit;

typedef struct {
  deputy_limit soft;
  deputy_limit hard;
} deputy_memlock;

typedef enum {
  DEPUTY_OTHER,
  DEPUTY_BATCH,
  DEPUTY_IDLE,
  DEPUTY_FIFO,
  DEPUTY_RR,
  DEPUTY_DEADLINE,
  DEPUTY_EXT,
} deputy_policy;

typedef struct {
  uint8_t some;
  uint64_t value;
} deputy_option_u64;

typedef struct {
  uint32_t tid;
  /* Any thread may name itself anything: never an identity. */
  deputy_string comm_untrusted;
  uint8_t policy;
  uint32_t priority;
  int32_t nice;
  const uint32_t *affinity;
  uint32_t affinity_len;
  deputy_string cgroup;
} deputy_thread;

typedef struct {
  const deputy_thread *ptr;
  uint32_t len;
} deputy_threads;

typedef struct {
  deputy_string name;
  deputy_string value;
} deputy_label;

/* What became of an effect. `code` counts as refusal-code in deputy.wit. */
typedef struct {
  uint8_t refused;
  struct {
    uint8_t code;
    deputy_string message;
  } refusal;
} deputy_staged;

/* A field whose `has_` is 0 stays as it is. */
typedef struct {
  int32_t has_policy;
  int32_t policy;
  int32_t has_priority;
  uint32_t priority;
  int32_t has_nice;
  int32_t nice;
  int32_t has_affinity;
  const uint32_t *cpus;
  uint32_t cpu_count;
} deputy_scheduling;

/* `only` = 0: all that the request addresses, those born meanwhile included. */
typedef struct {
  int32_t only;
  const uint32_t *tids;
  uint32_t len;
} deputy_selection;

static const deputy_selection deputy_addressed = {0, NULL, 0};

typedef enum { DEPUTY_SET_MEMLOCK, DEPUTY_MOVE_CGROUP, DEPUTY_SET_SCHEDULER } deputy_operation_tag;

/* What `tag` says is set, the rest is zero. */
typedef struct {
  deputy_operation_tag tag;
  deputy_memlock memlock;
  deputy_string group;
  deputy_scheduling scheduling;
} deputy_operation;

typedef struct {
  uint8_t tag;
  deputy_string reason;
} deputy_verdict;

DEPUTY_ASSERT(sizeof(deputy_memlock) == 32, "record memlock");
DEPUTY_ASSERT(sizeof(deputy_thread) == 40, "record thread");
DEPUTY_ASSERT(sizeof(deputy_staged) == 16, "result<_, refusal>");
DEPUTY_ASSERT(sizeof(deputy_verdict) == 12, "variant verdict");

DEPUTY_IMPORT("subject", "uid") uint32_t deputy_subject_uid(void);
DEPUTY_IMPORT("subject", "gid") uint32_t deputy_subject_gid(void);
DEPUTY_IMPORT("subject", "scope") void deputy_subject_scope(deputy_string *out);
DEPUTY_IMPORT("subject", "scope-name") void deputy_subject_scope_name(deputy_string *out);
DEPUTY_IMPORT("target", "uid") uint32_t deputy_target_uid(void);
DEPUTY_IMPORT("target", "gid") uint32_t deputy_target_gid(void);
DEPUTY_IMPORT("target", "is-subject") int32_t deputy_target_is_subject(void);
DEPUTY_IMPORT("target", "memlock") void deputy_target_memlock(deputy_memlock *out);
DEPUTY_IMPORT("target", "cgroup") void deputy_target_cgroup(deputy_string *out);
DEPUTY_IMPORT("target", "memory-limit") void deputy_target_memory_limit(deputy_option_u64 *out);
DEPUTY_IMPORT("target", "whole-process") int32_t deputy_target_whole_process(void);
DEPUTY_IMPORT("target", "threads") void deputy_target_threads(deputy_threads *out);
DEPUTY_IMPORT("target", "comm-untrusted") void deputy_target_comm_untrusted(deputy_string *out);
DEPUTY_IMPORT("ledger", "memlock-bytes") uint64_t deputy_ledger_memlock_bytes(void);
DEPUTY_IMPORT("ledger", "realtime-threads") uint32_t deputy_ledger_realtime_threads(void);
DEPUTY_IMPORT("effects", "set-memlock") void deputy_set_memlock(uint64_t soft, uint64_t hard, deputy_staged *out);
DEPUTY_IMPORT("effects", "set-memlock-unlimited") void deputy_set_memlock_unlimited(deputy_staged *out);
DEPUTY_IMPORT("effects", "move-cgroup")
void deputy_move_cgroup_flat(const char *, uint32_t, int32_t, const uint32_t *, uint32_t, deputy_staged *out);
DEPUTY_IMPORT("effects", "set-scheduler")
void deputy_set_scheduler_flat(int32_t, const uint32_t *, uint32_t, int32_t, int32_t, int32_t, uint32_t, int32_t, int32_t,
                               int32_t, const uint32_t *, uint32_t, deputy_staged *out);
/* Levels: 0 debug, 1 info, 2 warn, 3 error. */
DEPUTY_IMPORT("log", "write") void deputy_log_flat(int32_t level, const char *, uint32_t);

static inline void deputy_move_cgroup(deputy_string group, deputy_selection threads, deputy_staged *out) {
  deputy_move_cgroup_flat(group.ptr, group.len, threads.only, threads.tids, threads.len, out);
}

static inline void deputy_set_scheduler(deputy_selection threads, const deputy_scheduling *c, deputy_staged *out) {
  deputy_set_scheduler_flat(threads.only, threads.tids, threads.len, c->has_policy, c->policy, c->has_priority,
                            c->priority, c->has_nice, c->nice, c->has_affinity, c->cpus, c->cpu_count, out);
}

static inline deputy_string deputy_text(const char *text) {
  deputy_string string = {text, 0};
  while (text[string.len] != 0) string.len++;
  return string;
}

static inline deputy_verdict deputy_allow(void) {
  deputy_verdict verdict = {0, {NULL, 0}};
  return verdict;
}

static inline deputy_verdict deputy_deny(deputy_string reason) {
  deputy_verdict verdict = {1, reason};
  return verdict;
}

static inline deputy_verdict deputy_pass(void) {
  deputy_verdict verdict = {2, {NULL, 0}};
  return verdict;
}

/* Allow if it was staged, else deny with the refusal's message. */
static inline deputy_verdict deputy_staged_verdict(const deputy_staged *staged) {
  return staged->refused ? deputy_deny(staged->refusal.message) : deputy_allow();
}

/* ---- memory ---- */
#ifdef DEPUTY_MALLOC
static inline void *deputy_alloc(uint32_t size) {
  void *block = malloc(size);
  if (block == NULL) __builtin_trap();
  return block;
}
#else
extern unsigned char __heap_base;
static uintptr_t deputy_heap_end;

static inline void *deputy_alloc(uint32_t size) {
  if (deputy_heap_end == 0) deputy_heap_end = (uintptr_t)&__heap_base;
  uintptr_t block = (deputy_heap_end + 15) & ~(uintptr_t)15;
  uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) * 65536;
  if (size > UINT32_MAX - 65536 - block) __builtin_trap();
  if (block + size > have && __builtin_wasm_memory_grow(0, (block + size - have + 65535) / 65536) == (size_t)-1) {
    __builtin_trap();
  }
  deputy_heap_end = block + size;
  return (void *)block;
}
#endif

DEPUTY_EXPORT("cabi_realloc") void *deputy_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
  /* The host only asks for new blocks, and for no more alignment than every block here has. */
  if (old != NULL || old_size != 0 || align > 16) __builtin_trap();
  return deputy_alloc(size);
}

/* ---- text ---- */
/* "uid 1000 may not ask" of "uid ", 1000 and " may not ask". */
static inline deputy_string deputy_sentence(const char *before, uint64_t number, const char *after) {
  char digits[20];
  uint32_t count = 0;
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  deputy_string head = deputy_text(before);
  deputy_string tail = deputy_text(after);
  char *text = (char *)deputy_alloc(head.len + count + tail.len);
  uint32_t at = 0;
  for (uint32_t index = 0; index < head.len; index++) text[at++] = head.ptr[index];
  while (count > 0) text[at++] = digits[--count];
  for (uint32_t index = 0; index < tail.len; index++) text[at++] = tail.ptr[index];
  deputy_string whole = {text, at};
  return whole;
}

/*
 * A setting that is a whole number from 0 on. The daemon writes settings as one JSON object without spaces, keys
 * sorted, so `"key":` stands nowhere but before its value: inside of a text the quotes are escaped. False where it is
 * missing, no such number, or above 2^64 - 1.
 */
static inline bool deputy_setting_u64(deputy_string settings, const char *key, uint64_t *out) {
  deputy_string name = deputy_text(key);
  for (uint32_t at = 0; at + name.len + 3 < settings.len; at++) {
    if (settings.ptr[at] != '"' || settings.ptr[at + name.len + 1] != '"' || settings.ptr[at + name.len + 2] != ':') continue;
    uint32_t same = 0;
    while (same < name.len && settings.ptr[at + 1 + same] == name.ptr[same]) same++;
    if (same != name.len) continue;
    uint32_t digit = at + name.len + 3;
    uint64_t value = 0;
    if (settings.ptr[digit] < '0' || settings.ptr[digit] > '9') return false;
    for (; digit < settings.len && settings.ptr[digit] >= '0' && settings.ptr[digit] <= '9'; digit++) {
      uint64_t next = (uint64_t)(settings.ptr[digit] - '0');
      if (value > (UINT64_MAX - next) / 10) return false;
      value = value * 10 + next;
    }
    if (digit < settings.len && (settings.ptr[digit] == '.' || settings.ptr[digit] == 'e')) return false;
    *out = value;
    return true;
  }
  return false;
}

/* ---- exports ---- */
static const char *init(deputy_string settings);
static deputy_verdict decide(const deputy_operation *operation);

static struct {
  uint8_t failed;
  deputy_string message;
} deputy_init_result;

DEPUTY_EXPORT("deputy:policy/hooks@1.0.0#init") void *deputy_init(const char *settings, uint32_t len) {
  deputy_string text = {settings, len};
  const char *problem = init(text);
  deputy_init_result.failed = problem != NULL;
  if (problem != NULL) deputy_init_result.message = deputy_text(problem);
  return &deputy_init_result;
}

/* The three cases of `operation` share flat slots, each as wide as its widest user. */
DEPUTY_EXPORT("deputy:policy/hooks@1.0.0#decide")
void *deputy_decide(int32_t tag, int32_t a, uint64_t b, int32_t c, uint64_t d, int32_t e, int32_t f, int32_t g,
                    int32_t h, int32_t i) {
  static deputy_verdict verdict;
  deputy_operation operation = {};
  operation.tag = (deputy_operation_tag)tag;
  if (tag == DEPUTY_SET_MEMLOCK) {
    operation.memlock.soft.unlimited = (uint8_t)a;
    operation.memlock.soft.bytes = b;
    operation.memlock.hard.unlimited = (uint8_t)c;
    operation.memlock.hard.bytes = d;
  } else if (tag == DEPUTY_MOVE_CGROUP) {
    operation.group.ptr = (const char *)a;
    operation.group.len = (uint32_t)b;
  } else {
    deputy_scheduling scheduling = {a, (int32_t)b, c, (uint32_t)d, e, f, g, (const uint32_t *)h, (uint32_t)i};
    operation.scheduling = scheduling;
  }
  verdict = decide(&operation);
  return &verdict;
}

#endif
