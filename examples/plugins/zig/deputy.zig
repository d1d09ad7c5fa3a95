//! The contract deputy:policy@1.0.0 for Zig: imports, exports and memory, without a dependency. Extern structs have
//! the layout of the canonical ABI. `deputy.policy(init, decide)` in a `comptime` block makes the plugin.
const std = @import("std");

/// Never frees: the daemon resets memory after each decision.
var arena = std.heap.ArenaAllocator.init(std.heap.wasm_allocator);
pub const allocator = arena.allocator();

pub const Text = []const u8;
pub const Limit = union(enum) { bytes: u64, unlimited };
pub const Memlock = struct { soft: Limit, hard: Limit };
pub const SchedulingPolicy = enum(u8) { other, batch, idle, fifo, rr, deadline, ext };

/// What a thread's scheduling should become. Null stays as it is.
pub const Scheduling = struct {
    policy: ?SchedulingPolicy,
    priority: ?u32,
    nice: ?i32,
    affinity: ?[]const u32,
};

pub const Operation = union(enum) {
    set_memlock: Memlock,
    move_cgroup: struct { group: Text },
    set_scheduler: Scheduling,
};

pub const Verdict = union(enum) { allow, deny: Text, pass };

/// Deny, with a reason that is formatted as by `std.fmt`.
pub fn deny(comptime format: []const u8, args: anytype) Verdict {
    return .{ .deny = std.fmt.allocPrint(allocator, format, args) catch @trap() };
}

const RawText = extern struct {
    ptr: [*]const u8,
    len: usize,

    fn text(self: RawText) Text {
        return if (self.len == 0) "" else self.ptr[0..self.len];
    }
};

/// As the host writes it: read it in place.
pub const Thread = extern struct {
    tid: u32,
    comm: RawText,
    policy: SchedulingPolicy,
    priority: u32,
    nice: i32,
    affinity_ptr: [*]const u32,
    affinity_len: usize,
    cgroup_raw: RawText,

    /// Any thread may name itself anything: never an identity.
    pub fn commUntrusted(self: Thread) Text {
        return self.comm.text();
    }

    pub fn affinity(self: Thread) []const u32 {
        return if (self.affinity_len == 0) &.{} else self.affinity_ptr[0..self.affinity_len];
    }

    pub fn cgroup(self: Thread) Text {
        return self.cgroup_raw.text();
    }
};

/// Facts of the kernel about who asks.
pub const subject = struct {
    const host = struct {
        extern "deputy:policy/subject@1.0.0" fn uid() u32;
        extern "deputy:policy/subject@1.0.0" fn gid() u32;
        extern "deputy:policy/subject@1.0.0" fn scope(area: *RawText) void;
    };

    pub const uid = host.uid;
    pub const gid = host.gid;

    pub fn scope() Text {
        var area: RawText = undefined;
        host.scope(&area);
        return area.text();
    }
};

/// The process that the request is about, proven to lie in the subject's scope.
pub const target = struct {
    const RawThreads = extern struct { ptr: [*]const Thread, len: usize };
    const RawOption = extern struct { some: u8, value: u64 };
    const host = struct {
        extern "deputy:policy/target@1.0.0" fn uid() u32;
        extern "deputy:policy/target@1.0.0" fn @"memory-limit"(area: *RawOption) void;
        extern "deputy:policy/target@1.0.0" fn threads(area: *RawThreads) void;
    };

    pub const uid = host.uid;

    pub fn memoryLimit() ?u64 {
        var area: RawOption = undefined;
        host.@"memory-limit"(&area);
        return if (area.some == 0) null else area.value;
    }

    pub fn threads() []const Thread {
        var area: RawThreads = undefined;
        host.threads(&area);
        return if (area.len == 0) &.{} else area.ptr[0..area.len];
    }
};

/// What this scope already holds by earlier grants.
pub const ledger = struct {
    const host = struct {
        extern "deputy:policy/ledger@1.0.0" fn @"memlock-bytes"() u64;
        extern "deputy:policy/ledger@1.0.0" fn @"realtime-threads"() u32;
    };
    pub const memlockBytes = host.@"memlock-bytes";
    pub const realtimeThreads = host.@"realtime-threads";
};

/// What became of an effect: staged, or refused. The code counts as refusal-code in deputy.wit.
pub const Staged = extern struct {
    refused: u8,
    refusal: extern struct { code: u8, message: RawText },

    /// Allow if it was staged, else deny with the refusal's message.
    pub fn verdict(self: Staged) Verdict {
        return if (self.refused == 0) .allow else .{ .deny = self.refusal.message.text() };
    }
};

/// Staged here, applied by the daemon only after `allow`. `tids`: some of `target.threads()`; null, all that the
/// request addresses, those born meanwhile included.
pub const effects = struct {
    const host = struct {
        extern "deputy:policy/effects@1.0.0" fn @"set-memlock"(soft: u64, hard: u64, area: *Staged) void;
        extern "deputy:policy/effects@1.0.0" fn @"set-memlock-unlimited"(area: *Staged) void;
        extern "deputy:policy/effects@1.0.0" fn @"move-cgroup"(group: [*]const u8, len: usize, only: i32, tids: [*]const u32, count: usize, area: *Staged) void;
        extern "deputy:policy/effects@1.0.0" fn @"set-scheduler"(only: i32, tids: [*]const u32, count: usize, has_policy: i32, policy: i32, has_priority: i32, priority: u32, has_nice: i32, nice: i32, has_affinity: i32, cpus: [*]const u32, cpu_count: usize, area: *Staged) void;
    };
    const none: []const u32 = &.{};

    pub fn setMemlock(soft_bytes: u64, hard_bytes: u64) Staged {
        var area: Staged = undefined;
        host.@"set-memlock"(soft_bytes, hard_bytes, &area);
        return area;
    }

    pub fn setMemlockUnlimited() Staged {
        var area: Staged = undefined;
        host.@"set-memlock-unlimited"(&area);
        return area;
    }

    pub fn moveCgroup(group: Text, tids: ?[]const u32) Staged {
        var area: Staged = undefined;
        const list = tids orelse none;
        host.@"move-cgroup"(group.ptr, group.len, @intFromBool(tids != null), list.ptr, list.len, &area);
        return area;
    }

    pub fn setScheduler(change: Scheduling, tids: ?[]const u32) Staged {
        var area: Staged = undefined;
        const list = tids orelse none;
        const cpus = change.affinity orelse none;
        const policy_number: i32 = if (change.policy) |value| @intFromEnum(value) else 0;
        host.@"set-scheduler"(@intFromBool(tids != null), list.ptr, list.len, @intFromBool(change.policy != null), policy_number, @intFromBool(change.priority != null), change.priority orelse 0, @intFromBool(change.nice != null), change.nice orelse 0, @intFromBool(change.affinity != null), cpus.ptr, cpus.len, &area);
        return area;
    }
};

/// A setting that is a whole number from 0 on. The daemon writes settings as one JSON object without spaces, so
/// `"key":` stands nowhere but before its value: inside of a text the quotes are escaped.
pub fn settingU64(settings: Text, comptime key: []const u8) ?u64 {
    const name = "\"" ++ key ++ "\":";
    const at = std.mem.indexOf(u8, settings, name) orelse return null;
    const rest = settings[at + name.len ..];
    const end = std.mem.indexOfAny(u8, rest, ",}") orelse rest.len;
    return std.fmt.parseInt(u64, rest[0..end], 10) catch null;
}

/// The host's way to memory in which it writes strings and lists. It only ever asks for new blocks.
fn realloc(old: usize, old_size: usize, alignment: usize, size: usize) callconv(.c) [*]u8 {
    if (old != 0 or old_size != 0 or alignment > 16) @trap();
    const block = allocator.alignedAlloc(u8, .@"16", size) catch @trap();
    return block.ptr;
}

/// A verdict or the result of init: a tag and a text.
const Answer = extern struct { tag: u8, text: RawText };
var answer: Answer = undefined;

fn answerWith(tag: u8, text: Text) *const Answer {
    answer = .{ .tag = tag, .text = .{ .ptr = text.ptr, .len = text.len } };
    return &answer;
}

/// `init` returns null, or what is wrong with the settings.
pub fn policy(comptime init: fn (Text) ?Text, comptime decide: fn (Operation) Verdict) void {
    const hooks = struct {
        fn initFlat(ptr: [*]const u8, len: usize) callconv(.c) *const Answer {
            const problem = init(ptr[0..len]) orelse return answerWith(0, "");
            return answerWith(1, problem);
        }

        /// The three cases of `operation` share flat slots, each as wide as its widest user.
        fn decideFlat(tag: u32, a: u32, b: u64, c: u32, d: u64, e: u32, f: i32, g: u32, h: usize, i: usize) callconv(.c) *const Answer {
            const operation: Operation = switch (tag) {
                0 => .{ .set_memlock = .{ .soft = limit(a, b), .hard = limit(c, d) } },
                1 => .{ .move_cgroup = .{ .group = (RawText{ .ptr = @ptrFromInt(a), .len = @intCast(b) }).text() } },
                else => .{ .set_scheduler = .{
                    .policy = if (a == 0) null else @enumFromInt(@as(u8, @intCast(b))),
                    .priority = if (c == 0) null else @as(u32, @truncate(d)),
                    .nice = if (e == 0) null else f,
                    .affinity = if (g == 0) null else if (i == 0) &.{} else @as([*]const u32, @ptrFromInt(h))[0..i],
                } },
            };
            return switch (decide(operation)) {
                .allow => answerWith(0, ""),
                .deny => |reason| answerWith(1, reason),
                .pass => answerWith(2, ""),
            };
        }

        fn limit(tag: u32, bytes: u64) Limit {
            return if (tag == 0) .{ .bytes = bytes } else .unlimited;
        }
    };
    @export(&realloc, .{ .name = "cabi_realloc" });
    @export(&hooks.initFlat, .{ .name = "deputy:policy/hooks@1.0.0#init" });
    @export(&hooks.decideFlat, .{ .name = "deputy:policy/hooks@1.0.0#decide" });
}
