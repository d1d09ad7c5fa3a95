/** The schema of deputy.toml. Every key has a default but the chains: a daemon without one grants nothing. */
import * as v from 'valibot';
import { absolutePath, boolean, cpuList, fileMode, integer, name, size } from './values.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

const listen = v.strictObject({
  socket: v.optional(absolutePath, '/run/deputy/deputy.sock'),
  /** Everyone may connect: who may do what is decided from credentials, not from the socket's mode. */
  mode: v.optional(fileMode, '0666'),
  admin_socket: v.optional(absolutePath, '/run/deputy/admin.sock'),
});

const limits = v.strictObject({
  message_bytes: v.optional(size(1024n, 16n << 20n), '64 KiB'),
  connections: v.optional(integer(1, 65_536), 1024n),
  connections_per_uid: v.optional(integer(1, 65_536), 64n),
  pipelined_requests: v.optional(integer(1, 4096), 32n),
  /** Per uid, over one second, with bursts of as many. */
  requests_per_second: v.optional(integer(1, 1_000_000), 200n),
  idle_timeout_ms: v.optional(integer(0, DAY_MS), 0n),
});

const scope = v.strictObject({
  name,
  preset: v.optional(v.string('must be the name of a preset')),
  pattern: v.optional(v.string('must be a cgroup path pattern')),
});

const group = v.strictObject({
  /** Relative to the scope's cgroup: "housekeeping". */
  path: v.pipe(
    v.string('must be a path relative to the scope, such as "housekeeping"'),
    v.check(
      (path) =>
        path
          .split('/')
          .every((part) => part !== '' && !part.startsWith('.') && /^[\w.@:-]{1,128}$/.test(part)),
      (issue) => `${JSON.stringify(issue.input)} is not a relative cgroup path of plain names`,
    ),
  ),
  cpus: v.optional(cpuList),
  mems: v.optional(cpuList),
  /** Threaded groups take single threads; others whole processes (cgroup-v2.rst, "Threads"). */
  threaded: v.optional(boolean, false),
  /** Whether the daemon makes the group where it is absent. */
  create: v.optional(boolean, true),
});

const chain = v.optional(v.array(name, 'must be a list of plugin names'), []);

const quota = v.strictObject({
  /** Granted requests per scope and interval; rtkit's burst of 25 in 20 s is the default. */
  actions: v.optional(integer(1, 1_000_000), 25n),
  interval_ms: v.optional(integer(100, DAY_MS), 20_000n),
  realtime_threads: v.optional(integer(0, 1_000_000), 64n),
  memlock_bytes: v.optional(size(0n), '1 TiB'),
  /** Realtime is for processes whose hard RLIMIT_RTTIME is at most this; absent: none is demanded. rtkit has 200,000. */
  max_rttime_us: v.optional(integer(1, 60_000_000)),
});

const canary = v.strictObject({
  enabled: v.optional(boolean, true),
  /** Demote when a normal thread has waited for a CPU for so long, and had none for two thirds of the time. */
  starved_ms: v.optional(integer(500, 60_000), 5_000n),
  /** How long realtime is refused afterwards. */
  refuse_ms: v.optional(integer(0, DAY_MS), 300_000n),
});

const audit = v.strictObject({
  file: v.optional(absolutePath, '/var/log/deputy/audit.jsonl'),
  rotate_bytes: v.optional(size(64n << 10n), '64 MiB'),
  keep_files: v.optional(integer(1, 1000), 8n),
  /** Whether effects are refused while no record can be written. */
  on_failure: v.optional(v.picklist(['refuse', 'continue'], 'must be "refuse" or "continue"'), 'refuse'),
});

const state = v.strictObject({ directory: v.optional(absolutePath, '/var/lib/deputy') });

const privilege = v.strictObject({
  /**
   * Keeps CAP_DAC_OVERRIDE, for cgroups that are delegated to a user (user@UID.service): their files belong to that
   * user, and root alone may not write to them.
   */
  delegated_cgroups: v.optional(boolean, false),
});

const log = v.strictObject({
  level: v.optional(
    v.picklist(['debug', 'info', 'warn', 'error'], 'must be "debug", "info", "warn" or "error"'),
    'info',
  ),
});

export const deputyToml = v.strictObject({
  version: v.pipe(
    v.bigint('must be the integer 1'),
    v.check(
      (value) => value === 1n,
      (issue) => `config version ${issue.input} is not 1, the one this daemon reads`,
    ),
    v.transform(Number),
  ),
  listen: v.optional(listen, {}),
  limits: v.optional(limits, {}),
  scope: v.optional(v.array(scope), []),
  /** Whether a peer that no pattern matches has its own cgroup as its scope. */
  scope_fallback: v.optional(boolean, true),
  group: v.optional(v.record(name, group), {}),
  chain: v.optional(v.strictObject({ set_memlock: chain, move_cgroup: chain, set_scheduler: chain }), {}),
  quota: v.optional(quota, {}),
  canary: v.optional(canary, {}),
  audit: v.optional(audit, {}),
  state: v.optional(state, {}),
  privilege: v.optional(privilege, {}),
  log: v.optional(log, {}),
});

export type DeputyToml = v.InferOutput<typeof deputyToml>;
