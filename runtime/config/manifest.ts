/** The schema of a plugin's manifest, plugins/NAME.toml. */
import * as v from 'valibot';
import { ABI_VERSION } from '../../host-api/contract.ts';
import { boolean, cpuList, integer, name, size } from './values.ts';

const SETTABLE_POLICIES = ['other', 'batch', 'idle', 'fifo', 'rr'] as const;

const limits = v.strictObject({
  /** Units of the cost table for one decision. */
  fuel: v.optional(
    v.pipe(
      v.bigint('must be an integer'),
      v.check((fuel) => fuel >= 1000n && fuel <= 10_000_000_000n, 'must be from 1,000 to 10,000,000,000'),
    ),
    10_000_000n,
  ),
  memory_pages: v.optional(integer(1, 4096), 64n),
  table_elements: v.optional(integer(0, 1_000_000), 4096n),
  call_depth: v.optional(integer(8, 1024), 256n),
  module_bytes: v.optional(size(8n, 64n << 20n), '4 MiB'),
  log_bytes: v.optional(size(0n, 1n << 20n), '16 KiB'),
});

/** Absent means none: a plugin stages no effect that its manifest doesn't grant. */
const ceilings = v.strictObject({
  memlock: v.optional(v.strictObject({ max_bytes: size(0n), unlimited: v.optional(boolean, false) })),
  cgroup: v.optional(v.strictObject({ groups: v.array(name) })),
  scheduler: v.optional(
    v.strictObject({
      policies: v.optional(
        v.array(v.picklist(SETTABLE_POLICIES, `must be one of ${SETTABLE_POLICIES.join(', ')}`)),
        ['other', 'batch', 'idle'],
      ),
      max_priority: v.optional(integer(0, 99), 0n),
      min_nice: v.optional(integer(-20, 19), 0n),
      cpus: v.optional(
        v.union([v.literal('any'), cpuList], 'must be "any" or a list of CPUs such as "0-3,8"'),
      ),
    }),
  ),
});

/** What `init` gets as JSON: texts, integers, booleans, and lists of these. */
const setting = v.union(
  [v.string(), v.bigint(), v.boolean(), v.array(v.union([v.string(), v.bigint(), v.boolean()]))],
  'must be a text, an integer, true or false, or a list of these',
);

export const manifest = v.strictObject({
  sha256: v.pipe(
    v.string('must be the sha256 of the .wasm file in hex'),
    v.regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits in lower case'),
  ),
  abi: v.literal(ABI_VERSION, `must be "${ABI_VERSION}", the contract this daemon speaks`),
  /** `monitor`: decide, audit and count, and change nothing. */
  mode: v.optional(v.picklist(['enforce', 'monitor'], 'must be "enforce" or "monitor"'), 'enforce'),
  limits: v.optional(limits, {}),
  ceilings: v.optional(ceilings, {}),
  settings: v.optional(v.record(v.string(), setting), {}),
});

export type Manifest = v.InferOutput<typeof manifest>;
export type Settings = Manifest['settings'];

/** Settings as the JSON that `init` reads: keys sorted, 64-bit integers exact. */
export function settingsJson(settings: Settings): string {
  const value = (setting: Settings[string]): string =>
    Array.isArray(setting)
      ? `[${setting.map(value).join(',')}]`
      : typeof setting === 'string'
        ? JSON.stringify(setting)
        : `${setting}`;
  const keys = Object.keys(settings).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${value(settings[key] as Settings[string])}`).join(',')}}`;
}
