// Locked memory up to a limit for one user, placement of what is not realtime, and no realtime at all.
#define DEPUTY_MALLOC
#include "deputy.h"

#include <optional>
#include <string>

namespace {

uint64_t user;
uint64_t max_memlock;

deputy_verdict deny(const std::string &reason) {
  char *text = static_cast<char *>(deputy_alloc(reason.size()));
  reason.copy(text, reason.size());
  return deputy_deny({text, static_cast<uint32_t>(reason.size())});
}

bool is_realtime(int policy) { return policy == DEPUTY_FIFO || policy == DEPUTY_RR; }

std::optional<uint64_t> memory_limit() {
  deputy_option_u64 limit;
  deputy_target_memory_limit(&limit);
  return limit.some ? std::optional(limit.value) : std::nullopt;
}

deputy_verdict decide_memlock(const deputy_memlock &asked) {
  if (asked.hard.unlimited || asked.hard.bytes > max_memlock) {
    return deny("more than " + std::to_string(max_memlock) + " bytes of locked memory");
  }
  if (auto limit = memory_limit(); limit && asked.hard.bytes > *limit) {
    return deny("more than the " + std::to_string(*limit) + " bytes that its cgroup may use");
  }
  deputy_staged staged;
  deputy_set_memlock(asked.soft.unlimited ? UINT64_MAX : asked.soft.bytes, asked.hard.bytes, &staged);
  return deputy_staged_verdict(&staged);
}

deputy_verdict decide_cgroup(deputy_string group) {
  deputy_threads threads;
  deputy_target_threads(&threads);
  for (const auto *thread = threads.ptr; thread != threads.ptr + threads.len; thread++) {
    if (is_realtime(thread->policy)) {
      return deny("thread " + std::to_string(thread->tid) + " is realtime and stays where it is");
    }
  }
  deputy_staged staged;
  deputy_move_cgroup(group, deputy_addressed, &staged);
  return deputy_staged_verdict(&staged);
}

deputy_verdict decide_scheduler(const deputy_scheduling &change) {
  if (change.has_policy && is_realtime(change.policy)) return deny("realtime is not for this policy");
  deputy_staged staged;
  deputy_set_scheduler(deputy_addressed, &change, &staged);
  return deputy_staged_verdict(&staged);
}

}  // namespace

static const char *init(deputy_string settings) {
  if (!deputy_setting_u64(settings, "uid", &user)) return "uid must be an integer from 0 on";
  if (!deputy_setting_u64(settings, "max_memlock", &max_memlock)) return "max_memlock must be a number of bytes";
  return nullptr;
}

static deputy_verdict decide(const deputy_operation *operation) {
  if (uint32_t uid = deputy_subject_uid(); uid != user) return deny("uid " + std::to_string(uid) + " may not ask");
  switch (operation->tag) {
    case DEPUTY_SET_MEMLOCK:
      return decide_memlock(operation->memlock);
    case DEPUTY_MOVE_CGROUP:
      return decide_cgroup(operation->group);
    default:
      return decide_scheduler(operation->scheduling);
  }
}
