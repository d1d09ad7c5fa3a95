/* Locked memory up to a limit for one user, placement of what is not realtime, and no realtime at all. */
#include "deputy.h"

static uint64_t user;
static uint64_t max_memlock;

static const char *init(deputy_string settings) {
  if (!deputy_setting_u64(settings, "uid", &user)) return "uid must be an integer from 0 on";
  if (!deputy_setting_u64(settings, "max_memlock", &max_memlock)) return "max_memlock must be a number of bytes";
  return NULL;
}

static bool is_realtime(int32_t policy) { return policy == DEPUTY_FIFO || policy == DEPUTY_RR; }

static deputy_verdict decide_memlock(const deputy_memlock *asked) {
  if (asked->hard.unlimited || asked->hard.bytes > max_memlock) {
    return deputy_deny(deputy_sentence("more than ", max_memlock, " bytes of locked memory"));
  }
  deputy_option_u64 limit;
  deputy_target_memory_limit(&limit);
  if (limit.some && asked->hard.bytes > limit.value) {
    return deputy_deny(deputy_sentence("more than the ", limit.value, " bytes that its cgroup may use"));
  }
  deputy_staged staged;
  deputy_set_memlock(asked->soft.unlimited ? UINT64_MAX : asked->soft.bytes, asked->hard.bytes, &staged);
  return deputy_staged_verdict(&staged);
}

static deputy_verdict decide_cgroup(deputy_string group) {
  deputy_threads threads;
  deputy_target_threads(&threads);
  for (uint32_t index = 0; index < threads.len; index++) {
    if (!is_realtime(threads.ptr[index].policy)) continue;
    return deputy_deny(deputy_sentence("thread ", threads.ptr[index].tid, " is realtime and stays where it is"));
  }
  deputy_staged staged;
  deputy_move_cgroup(group, deputy_addressed, &staged);
  return deputy_staged_verdict(&staged);
}

static deputy_verdict decide_scheduler(const deputy_scheduling *change) {
  if (change->has_policy && is_realtime(change->policy)) {
    return deputy_deny(deputy_text("realtime is not for this policy"));
  }
  deputy_staged staged;
  deputy_set_scheduler(deputy_addressed, change, &staged);
  return deputy_staged_verdict(&staged);
}

static deputy_verdict decide(const deputy_operation *operation) {
  uint32_t uid = deputy_subject_uid();
  if (uid != user) return deputy_deny(deputy_sentence("uid ", uid, " may not ask"));
  switch (operation->tag) {
    case DEPUTY_SET_MEMLOCK:
      return decide_memlock(&operation->memlock);
    case DEPUTY_MOVE_CGROUP:
      return decide_cgroup(operation->group);
    default:
      return decide_scheduler(&operation->scheduling);
  }
}
