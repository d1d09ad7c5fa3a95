//! Locked memory up to a limit for one user, placement of what is not realtime, and no realtime at all.
const deputy = @import("deputy.zig");
const effects = deputy.effects;
const subject = deputy.subject;
const target = deputy.target;
const deny = deputy.deny;

comptime {
    deputy.policy(init, decide);
}

var user: u64 = 0;
var max_memlock: u64 = 0;

fn init(settings: deputy.Text) ?deputy.Text {
    user = deputy.settingU64(settings, "uid") orelse return "uid must be an integer from 0 on";
    max_memlock = deputy.settingU64(settings, "max_memlock") orelse return "max_memlock must be a number of bytes";
    return null;
}

fn decide(operation: deputy.Operation) deputy.Verdict {
    const uid = subject.uid();
    if (uid != user) return deny("uid {d} may not ask", .{uid});
    return switch (operation) {
        .set_memlock => |asked| decideMemlock(asked),
        .move_cgroup => |asked| decideCgroup(asked.group),
        .set_scheduler => |change| decideScheduler(change),
    };
}

fn decideMemlock(asked: deputy.Memlock) deputy.Verdict {
    const hard = switch (asked.hard) {
        .bytes => |bytes| bytes,
        .unlimited => max_memlock +| 1,
    };
    if (asked.hard == .unlimited or hard > max_memlock) {
        return deny("more than {d} bytes of locked memory", .{max_memlock});
    }
    if (target.memoryLimit()) |limit| {
        if (hard > limit) return deny("more than the {d} bytes that its cgroup may use", .{limit});
    }
    const soft = switch (asked.soft) {
        .bytes => |bytes| bytes,
        .unlimited => ~@as(u64, 0),
    };
    return effects.setMemlock(soft, hard).verdict();
}

fn decideCgroup(group: deputy.Text) deputy.Verdict {
    for (target.threads()) |thread| {
        if (isRealtime(thread.policy)) return deny("thread {d} is realtime and stays where it is", .{thread.tid});
    }
    return effects.moveCgroup(group, null).verdict();
}

fn decideScheduler(change: deputy.Scheduling) deputy.Verdict {
    if (change.policy) |policy| {
        if (isRealtime(policy)) return deny("realtime is not for this policy", .{});
    }
    return effects.setScheduler(change, null).verdict();
}

fn isRealtime(policy: deputy.SchedulingPolicy) bool {
    return policy == .fifo or policy == .rr;
}
