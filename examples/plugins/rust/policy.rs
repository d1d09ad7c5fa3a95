//! Locked memory up to a limit for one user, placement of what is not realtime, and no realtime at all.
#[macro_use]
mod deputy;

use deputy::{effects, setting_u64, subject, target, Limit, Memlock, Operation, Scheduling, SchedulingPolicy, Verdict};

static mut USER: u64 = 0;
static mut MAX_MEMLOCK: u64 = 0;

struct Policy;
export!(Policy);

impl deputy::Policy for Policy {
    fn init(settings: &str) -> Result<(), String> {
        // WebAssembly without threads: nothing else runs.
        unsafe {
            USER = setting_u64(settings, "uid")?;
            MAX_MEMLOCK = setting_u64(settings, "max_memlock")?;
        }
        Ok(())
    }

    fn decide(operation: Operation) -> Verdict {
        let (user, max_memlock) = unsafe { (USER, MAX_MEMLOCK) };
        let uid = subject::uid();
        if u64::from(uid) != user {
            return Verdict::Deny(format!("uid {uid} may not ask"));
        }
        match operation {
            Operation::SetMemlock(asked) => decide_memlock(asked, max_memlock),
            Operation::MoveCgroup { group } => decide_cgroup(&group),
            Operation::SetScheduler(change) => decide_scheduler(&change),
        }
    }
}

fn decide_memlock(asked: Memlock, max: u64) -> Verdict {
    let hard = match asked.hard {
        Limit::Bytes(bytes) if bytes <= max => bytes,
        _ => return Verdict::Deny(format!("more than {max} bytes of locked memory")),
    };
    match target::memory_limit() {
        Some(limit) if hard > limit => Verdict::Deny(format!("more than the {limit} bytes that its cgroup may use")),
        _ => {
            let soft = if let Limit::Bytes(bytes) = asked.soft { bytes } else { u64::MAX };
            effects::set_memlock(soft, hard).into()
        }
    }
}

fn decide_cgroup(group: &str) -> Verdict {
    match target::threads().iter().find(|thread| is_realtime(thread.policy)) {
        Some(thread) => Verdict::Deny(format!("thread {} is realtime and stays where it is", thread.tid)),
        None => effects::move_cgroup(group, None).into(),
    }
}

fn decide_scheduler(change: &Scheduling) -> Verdict {
    match change.policy {
        Some(policy) if is_realtime(policy) => Verdict::Deny("realtime is not for this policy".into()),
        _ => effects::set_scheduler(change, None).into(),
    }
}

fn is_realtime(policy: SchedulingPolicy) -> bool {
    matches!(policy, SchedulingPolicy::Fifo | SchedulingPolicy::Rr)
}
