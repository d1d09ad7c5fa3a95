/** Schemas of single values, shared by deputy.toml and the manifests. Each message says what would be allowed. */
import * as v from 'valibot';
import { parseCpuList } from '../../host-api/cpu-list.ts';
import { formatBytes } from '../../host-api/limit.ts';

const U63_MAX = 2n ** 63n - 1n;

/** A whole number that fits a JavaScript number exactly. */
export function integer(min: number, max: number) {
  return v.pipe(
    v.bigint(`must be an integer from ${min} to ${max}`),
    v.check(
      (value) => value >= BigInt(min) && value <= BigInt(max),
      (issue) => `${issue.input} is not within ${min} to ${max}`,
    ),
    v.transform(Number),
  );
}

const UNITS: Readonly<Record<string, bigint>> = {
  B: 1n,
  KiB: 1n << 10n,
  MiB: 1n << 20n,
  GiB: 1n << 30n,
  TiB: 1n << 40n,
};

/** "64 MiB", "4GiB" or undefined. Only binary units: "GB" means two things. */
export function parseSize(text: string): bigint | undefined {
  const match = /^(\d{1,19}) ?(B|KiB|MiB|GiB|TiB)$/.exec(text);
  const unit = match === null ? undefined : UNITS[match[2] ?? ''];
  return unit === undefined ? undefined : BigInt(match?.[1] ?? 0) * unit;
}

/** Bytes: an integer, or text with a binary unit. */
export function size(min: bigint, max: bigint = U63_MAX) {
  const form = 'must be a number of bytes or a size such as "64 MiB" (B, KiB, MiB, GiB, TiB)';
  return v.pipe(
    v.union([v.bigint(), v.string()], form),
    v.rawTransform<bigint | string, bigint>(({ dataset, addIssue, NEVER }) => {
      const bytes = typeof dataset.value === 'string' ? parseSize(dataset.value) : dataset.value;
      if (bytes === undefined) {
        addIssue({ message: `${JSON.stringify(dataset.value)} ${form}` });
        return NEVER;
      }
      if (bytes < min || bytes > max) {
        addIssue({
          message: `${formatBytes(bytes)} is not within ${formatBytes(min)} to ${formatBytes(max)}`,
        });
        return NEVER;
      }
      return bytes;
    }),
  );
}

/** A name that appears in messages, file names and metrics. */
export const name = v.pipe(
  v.string('must be a text'),
  v.regex(
    /^[a-z0-9][a-z0-9_-]{0,63}$/,
    (issue) => `${JSON.stringify(issue.input)} is not a name of a-z, 0-9, "_" and "-" (at most 64)`,
  ),
);

/** CPUs in the kernel's list format, "0-3,8". */
export const cpuList = v.pipe(
  v.string('must be a list of CPUs such as "0-3,8"'),
  v.rawTransform<string, number[]>(({ dataset, addIssue, NEVER }) => {
    try {
      const cpus = parseCpuList(dataset.value);
      if (cpus.length > 0) return cpus;
      addIssue({ message: 'names no CPU' });
    } catch (error) {
      addIssue({ message: (error as RangeError).message });
    }
    return NEVER;
  }),
);

/** Permission bits in octal text: a TOML integer 0666 would be decimal, 0o666 is easy to get wrong. */
export const fileMode = v.pipe(
  v.string('must be permission bits in octal, such as "0666"'),
  v.regex(
    /^0?[0-7]{3}$/,
    (issue) => `${JSON.stringify(issue.input)} is not permission bits in octal, such as "0666"`,
  ),
  v.transform((text) => Number.parseInt(text, 8)),
);

export const absolutePath = v.pipe(
  v.string('must be an absolute path'),
  v.check(
    (path) => path.startsWith('/') && !path.includes('\0'),
    (issue) => `${JSON.stringify(issue.input)} is not an absolute path`,
  ),
);

export const boolean = v.boolean('must be true or false');
