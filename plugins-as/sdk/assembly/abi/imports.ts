/**
 * The contract's imports, flattened by hand as the canonical ABI demands (component-model, CanonicalABI.md): a result of
 * more than one flat value goes to a return area whose address is the last parameter.
 * `test/plugins-as/sdk/compile.test.ts` proves each signature against host-api/wit/deputy.wit.
 */
// @ts-ignore: decorator
@external("deputy:policy/subject@1.0.0", "uid")
export declare function subject_uid(): u32;

// @ts-ignore: decorator
@external("deputy:policy/subject@1.0.0", "gid")
export declare function subject_gid(): u32;

// @ts-ignore: decorator
@external("deputy:policy/subject@1.0.0", "scope")
export declare function subject_scope(area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/subject@1.0.0", "scope-name")
export declare function subject_scope_name(area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/subject@1.0.0", "labels")
export declare function subject_labels(area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/subject@1.0.0", "label")
export declare function subject_label(name: usize, nameBytes: i32, area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/target@1.0.0", "uid")
export declare function target_uid(): u32;

// @ts-ignore: decorator
@external("deputy:policy/target@1.0.0", "gid")
export declare function target_gid(): u32;

// @ts-ignore: decorator
@external("deputy:policy/target@1.0.0", "is-subject")
export declare function target_is_subject(): i32;

// @ts-ignore: decorator
@external("deputy:policy/target@1.0.0", "memlock")
export declare function target_memlock(area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/target@1.0.0", "cgroup")
export declare function target_cgroup(area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/target@1.0.0", "memory-limit")
export declare function target_memory_limit(area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/target@1.0.0", "cpus")
export declare function target_cpus(area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/target@1.0.0", "whole-process")
export declare function target_whole_process(): i32;

// @ts-ignore: decorator
@external("deputy:policy/target@1.0.0", "threads")
export declare function target_threads(area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/target@1.0.0", "comm-untrusted")
export declare function target_comm_untrusted(area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/ledger@1.0.0", "memlock-bytes")
export declare function ledger_memlock_bytes(): u64;

// @ts-ignore: decorator
@external("deputy:policy/ledger@1.0.0", "realtime-threads")
export declare function ledger_realtime_threads(): u32;

// @ts-ignore: decorator
@external("deputy:policy/effects@1.0.0", "set-memlock")
export declare function effects_set_memlock(softBytes: u64, hardBytes: u64, area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/effects@1.0.0", "set-memlock-unlimited")
export declare function effects_set_memlock_unlimited(area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/effects@1.0.0", "move-cgroup")
export declare function effects_move_cgroup(group: usize, groupBytes: i32, selection: i32, tids: usize, tidCount: i32, area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/effects@1.0.0", "set-scheduler")
export declare function effects_set_scheduler(selection: i32, tids: usize, tidCount: i32, hasPolicy: i32, policy: i32, hasPriority: i32, priority: u32, hasNice: i32, nice: i32, hasAffinity: i32, cpus: usize, cpuCount: i32, area: usize): void;

// @ts-ignore: decorator
@external("deputy:policy/log@1.0.0", "write")
export declare function log_write(level: i32, message: usize, messageBytes: i32): void;
