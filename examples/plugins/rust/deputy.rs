//! The contract deputy:policy@1.0.0 for Rust: imports, exports and memory, without a dependency. Structs marked
//! `repr(C)` have the layout of the canonical ABI. `export!(Policy)` makes a type that implements `Policy` the plugin.
#![allow(dead_code)]

use std::alloc::Layout;

#[derive(Clone, Copy, PartialEq)]
pub enum Limit {
    Bytes(u64),
    Unlimited,
}

#[derive(Clone, Copy)]
pub struct Memlock {
    pub soft: Limit,
    pub hard: Limit,
}

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub enum SchedulingPolicy {
    Other,
    Batch,
    Idle,
    Fifo,
    Rr,
    Deadline,
    Ext,
}

impl SchedulingPolicy {
    fn from(discriminant: u32) -> SchedulingPolicy {
        use SchedulingPolicy::*;
        [Other, Batch, Idle, Fifo, Rr, Deadline, Ext][discriminant as usize]
    }
}

/// What a thread's scheduling should become. `None` stays as it is.
#[derive(Clone)]
pub struct Scheduling {
    pub policy: Option<SchedulingPolicy>,
    pub priority: Option<u32>,
    pub nice: Option<i32>,
    pub affinity: Option<Vec<u32>>,
}

pub struct Thread {
    pub tid: u32,
    /// Any thread may name itself anything: never an identity.
    pub comm_untrusted: String,
    pub policy: SchedulingPolicy,
    pub priority: u32,
    pub nice: i32,
    pub affinity: Vec<u32>,
    pub cgroup: String,
}

pub enum Operation {
    SetMemlock(Memlock),
    MoveCgroup { group: String },
    SetScheduler(Scheduling),
}

pub enum Verdict {
    Allow,
    Deny(String),
    Pass,
}

/// Why an effect was not staged; `code` counts as refusal-code in deputy.wit.
pub struct Refusal {
    pub code: u8,
    pub message: String,
}

/// Allow if the effect was staged, else deny with the refusal's message.
impl From<Result<(), Refusal>> for Verdict {
    fn from(staged: Result<(), Refusal>) -> Verdict {
        match staged {
            Ok(()) => Verdict::Allow,
            Err(refusal) => Verdict::Deny(refusal.message),
        }
    }
}

pub trait Policy {
    /// `settings`: the manifest's [settings] as JSON.
    fn init(settings: &str) -> Result<(), String>;
    fn decide(operation: Operation) -> Verdict;
}

/// A setting that is a whole number from 0 on. The daemon writes settings as one JSON object without spaces, so
/// `"key":` stands nowhere but before its value: inside of a text the quotes are escaped.
pub fn setting_u64(settings: &str, key: &str) -> Result<u64, String> {
    let name = format!("\"{key}\":");
    let value = settings.split_once(&name).map(|(_, rest)| rest).unwrap_or("");
    let end = value.find([',', '}']).unwrap_or(value.len());
    value[..end].parse().map_err(|_| format!("{key} must be an integer from 0 on"))
}

#[repr(C)]
struct RawText {
    ptr: *mut u8,
    len: usize,
}

impl RawText {
    const fn empty() -> RawText {
        RawText { ptr: std::ptr::null_mut(), len: 0 }
    }

    /// Takes what the host wrote by `cabi_realloc`.
    fn take(&self) -> String {
        take_text(self.ptr, self.len)
    }
}

fn take_text(ptr: *mut u8, len: usize) -> String {
    if len == 0 {
        return String::new();
    }
    // The contract: the host writes valid UTF-8 into a block of exactly this size.
    unsafe { String::from_utf8_unchecked(Vec::from_raw_parts(ptr, len, len)) }
}

fn take_numbers(ptr: *mut u32, len: usize) -> Vec<u32> {
    if len == 0 {
        return Vec::new();
    }
    unsafe { Vec::from_raw_parts(ptr, len, len) }
}

#[repr(C)]
struct RawLimit {
    tag: u8,
    bytes: u64,
}

impl RawLimit {
    fn take(&self) -> Limit {
        if self.tag == 0 { Limit::Bytes(self.bytes) } else { Limit::Unlimited }
    }
}

#[repr(C)]
struct RawThread {
    tid: u32,
    comm: RawText,
    policy: u8,
    priority: u32,
    nice: i32,
    affinity: *mut u32,
    affinity_len: usize,
    cgroup: RawText,
}

/// result<_, refusal>: tag at 0, code at 4, pointer and length of the message at 8 and 12.
#[repr(C)]
struct StagedArea {
    bytes: [u32; 4],
}

impl StagedArea {
    const fn new() -> StagedArea {
        StagedArea { bytes: [0; 4] }
    }

    fn take(&self) -> Result<(), Refusal> {
        if self.bytes[0] as u8 == 0 {
            return Ok(());
        }
        let message = take_text(self.bytes[2] as *mut u8, self.bytes[3] as usize);
        Err(Refusal { code: self.bytes[1] as u8, message })
    }
}

/// Facts of the kernel about who asks.
pub mod subject {
    use super::*;

    #[link(wasm_import_module = "deputy:policy/subject@1.0.0")]
    extern "C" {
        #[link_name = "uid"]
        fn raw_uid() -> u32;
        #[link_name = "gid"]
        fn raw_gid() -> u32;
        #[link_name = "scope"]
        fn raw_scope(area: *mut RawText);
    }

    pub fn uid() -> u32 {
        unsafe { raw_uid() }
    }

    pub fn gid() -> u32 {
        unsafe { raw_gid() }
    }

    pub fn scope() -> String {
        let mut area = RawText::empty();
        unsafe { raw_scope(&mut area) };
        area.take()
    }
}

/// The process that the request is about, proven to lie in the subject's scope.
pub mod target {
    use super::*;

    #[repr(C)]
    struct RawMemlock {
        soft: RawLimit,
        hard: RawLimit,
    }

    #[repr(C)]
    struct RawOption {
        tag: u8,
        value: u64,
    }

    #[repr(C)]
    struct RawThreads {
        ptr: *mut RawThread,
        len: usize,
    }

    #[link(wasm_import_module = "deputy:policy/target@1.0.0")]
    extern "C" {
        #[link_name = "uid"]
        fn raw_uid() -> u32;
        #[link_name = "memlock"]
        fn raw_memlock(area: *mut RawMemlock);
        #[link_name = "memory-limit"]
        fn raw_memory_limit(area: *mut RawOption);
        #[link_name = "threads"]
        fn raw_threads(area: *mut RawThreads);
    }

    pub fn uid() -> u32 {
        unsafe { raw_uid() }
    }

    pub fn memlock() -> Memlock {
        let none = || RawLimit { tag: 0, bytes: 0 };
        let mut area = RawMemlock { soft: none(), hard: none() };
        unsafe { raw_memlock(&mut area) };
        Memlock { soft: area.soft.take(), hard: area.hard.take() }
    }

    pub fn memory_limit() -> Option<u64> {
        let mut area = RawOption { tag: 0, value: 0 };
        unsafe { raw_memory_limit(&mut area) };
        if area.tag == 0 { None } else { Some(area.value) }
    }

    pub fn threads() -> Vec<Thread> {
        let mut area = RawThreads { ptr: std::ptr::null_mut(), len: 0 };
        unsafe { raw_threads(&mut area) };
        if area.len == 0 {
            return Vec::new();
        }
        let raw = unsafe { Vec::from_raw_parts(area.ptr, area.len, area.len) };
        raw.iter()
            .map(|thread| Thread {
                tid: thread.tid,
                comm_untrusted: thread.comm.take(),
                policy: SchedulingPolicy::from(thread.policy.into()),
                priority: thread.priority,
                nice: thread.nice,
                affinity: take_numbers(thread.affinity, thread.affinity_len),
                cgroup: thread.cgroup.take(),
            })
            .collect()
    }
}

/// What this scope already holds by earlier grants.
pub mod ledger {
    #[link(wasm_import_module = "deputy:policy/ledger@1.0.0")]
    extern "C" {
        #[link_name = "memlock-bytes"]
        fn raw_memlock_bytes() -> u64;
        #[link_name = "realtime-threads"]
        fn raw_realtime_threads() -> u32;
    }

    pub fn memlock_bytes() -> u64 {
        unsafe { raw_memlock_bytes() }
    }

    pub fn realtime_threads() -> u32 {
        unsafe { raw_realtime_threads() }
    }
}

/// Staged here, applied by the daemon only after `Allow`. `tids`: some of `target::threads()`; `None`, all that the
/// request addresses, those born meanwhile included.
pub mod effects {
    use super::*;

    #[link(wasm_import_module = "deputy:policy/effects@1.0.0")]
    extern "C" {
        #[link_name = "set-memlock"]
        fn raw_set_memlock(soft: u64, hard: u64, area: *mut StagedArea);
        #[link_name = "set-memlock-unlimited"]
        fn raw_set_memlock_unlimited(area: *mut StagedArea);
        #[link_name = "move-cgroup"]
        fn raw_move_cgroup(group: *const u8, len: usize, only: i32, tids: *const u32, count: usize, area: *mut StagedArea);
        #[link_name = "set-scheduler"]
        fn raw_set_scheduler(
            only: i32, tids: *const u32, count: usize,
            has_policy: i32, policy: i32, has_priority: i32, priority: u32, has_nice: i32, nice: i32,
            has_affinity: i32, cpus: *const u32, cpu_count: usize, area: *mut StagedArea,
        );
    }

    pub fn set_memlock(soft_bytes: u64, hard_bytes: u64) -> Result<(), Refusal> {
        let mut area = StagedArea::new();
        unsafe { raw_set_memlock(soft_bytes, hard_bytes, &mut area) };
        area.take()
    }

    pub fn set_memlock_unlimited() -> Result<(), Refusal> {
        let mut area = StagedArea::new();
        unsafe { raw_set_memlock_unlimited(&mut area) };
        area.take()
    }

    pub fn move_cgroup(group: &str, tids: Option<&[u32]>) -> Result<(), Refusal> {
        let mut area = StagedArea::new();
        let (only, list) = (tids.is_some() as i32, tids.unwrap_or(&[]));
        unsafe { raw_move_cgroup(group.as_ptr(), group.len(), only, list.as_ptr(), list.len(), &mut area) };
        area.take()
    }

    pub fn set_scheduler(change: &Scheduling, tids: Option<&[u32]>) -> Result<(), Refusal> {
        let mut area = StagedArea::new();
        let (only, list) = (tids.is_some() as i32, tids.unwrap_or(&[]));
        let cpus = change.affinity.as_deref().unwrap_or(&[]);
        unsafe {
            raw_set_scheduler(
                only, list.as_ptr(), list.len(),
                change.policy.is_some() as i32, change.policy.map_or(0, |policy| policy as i32),
                change.priority.is_some() as i32, change.priority.unwrap_or(0),
                change.nice.is_some() as i32, change.nice.unwrap_or(0),
                change.affinity.is_some() as i32, cpus.as_ptr(), cpus.len(), &mut area,
            )
        };
        area.take()
    }
}

pub mod log {
    #[link(wasm_import_module = "deputy:policy/log@1.0.0")]
    extern "C" {
        #[link_name = "write"]
        fn raw_write(level: i32, ptr: *const u8, len: usize);
    }

    pub fn info(message: &str) {
        unsafe { raw_write(1, message.as_ptr(), message.len()) }
    }
}

/// The host's way to memory in which it writes strings and lists. It only ever asks for new blocks.
#[export_name = "cabi_realloc"]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    let block = if old_size == 0 {
        std::alloc::alloc(Layout::from_size_align_unchecked(size, align))
    } else {
        std::alloc::realloc(old, Layout::from_size_align_unchecked(old_size, align), size)
    };
    if block.is_null() { core::arch::wasm32::unreachable() } else { block }
}

/// A verdict or the result of init: a tag and a text, both kept until the next call.
#[repr(C)]
pub struct Answer {
    tag: u8,
    text: RawText,
}

fn answer(tag: u8, text: String) -> *const Answer {
    let text = Box::leak(text.into_boxed_str());
    Box::leak(Box::new(Answer { tag, text: RawText { ptr: text.as_mut_ptr(), len: text.len() } }))
}

pub fn init_of<P: Policy>(ptr: *mut u8, len: usize) -> *const Answer {
    match P::init(&take_text(ptr, len)) {
        Ok(()) => answer(0, String::new()),
        Err(problem) => answer(1, problem),
    }
}

/// The three cases of `operation` share flat slots, each as wide as its widest user.
#[allow(clippy::too_many_arguments)]
pub fn decide_of<P: Policy>(
    tag: i32, a: i32, b: u64, c: i32, d: u64, e: i32, f: i32, g: i32, h: i32, i: i32,
) -> *const Answer {
    let limit = |tag: i32, bytes: u64| if tag == 0 { Limit::Bytes(bytes) } else { Limit::Unlimited };
    let operation = match tag {
        0 => Operation::SetMemlock(Memlock { soft: limit(a, b), hard: limit(c, d) }),
        1 => Operation::MoveCgroup { group: take_text(a as *mut u8, b as usize) },
        _ => Operation::SetScheduler(Scheduling {
            policy: (a != 0).then(|| SchedulingPolicy::from(b as u32)),
            priority: (c != 0).then(|| d as u32),
            nice: (e != 0).then(|| f),
            affinity: (g != 0).then(|| take_numbers(h as *mut u32, i as usize)),
        }),
    };
    match P::decide(operation) {
        Verdict::Allow => answer(0, String::new()),
        Verdict::Deny(reason) => answer(1, reason),
        Verdict::Pass => answer(2, String::new()),
    }
}

macro_rules! export {
    ($policy:ty) => {
        #[export_name = "deputy:policy/hooks@1.0.0#init"]
        extern "C" fn deputy_init(ptr: *mut u8, len: usize) -> *const deputy::Answer {
            deputy::init_of::<$policy>(ptr, len)
        }

        #[export_name = "deputy:policy/hooks@1.0.0#decide"]
        extern "C" fn deputy_decide(
            tag: i32, a: i32, b: u64, c: i32, d: u64, e: i32, f: i32, g: i32, h: i32, i: i32,
        ) -> *const deputy::Answer {
            deputy::decide_of::<$policy>(tag, a, b, c, d, e, f, g, h, i)
        }
    };
}
