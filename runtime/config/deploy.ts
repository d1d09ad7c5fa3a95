/** Reads a deploy directory: deputy.toml and plugins/. Collects every problem rather than stopping at the first. */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import type { Ceilings, OperationName } from '../../host-api/contract.ts';
import { formatBytes } from '../../host-api/limit.ts';
import { WATCHDOG_PRIORITY } from '../canary/shared.ts';
import type { SandboxLimits } from '../sandbox/seam.ts';
import { type DeputyToml, deputyToml } from './deputy-toml.ts';
import { type Manifest, manifest, settingsJson } from './manifest.ts';
import type { Problem } from './problem.ts';
import { readTrustedFile } from './read-file.ts';
import { parseToml, type TomlDocument, type TomlPath } from './toml.ts';

const MAX_TOML_BYTES = 1 << 20;
/** Over any module_bytes a manifest may set. */
export const MAX_WASM_BYTES = 64 << 20;

export interface PluginEntry {
  readonly name: string;
  /** Path of the .wasm file. */
  readonly file: string;
  readonly manifestFile: string;
  readonly wasm: Uint8Array;
  readonly sha256: string;
  readonly mode: 'enforce' | 'monitor';
  readonly limits: SandboxLimits;
  readonly ceilings: Ceilings;
  readonly settings: string;
}

export interface Deploy {
  readonly directory: string;
  readonly config: DeputyToml;
  readonly document: TomlDocument;
  readonly plugins: ReadonlyMap<string, PluginEntry>;
  /** Names of plugins in the order they are asked. */
  readonly chains: Readonly<Record<OperationName, readonly string[]>>;
}

export interface DeployReading {
  readonly deploy: Deploy | undefined;
  readonly problems: readonly Problem[];
}

/** deputy.toml alone, for what has to be known before the plugins are looked at. Undefined where it has problems. */
export function readDeputyToml(directory: string): DeputyToml | undefined {
  return readToml(join(directory, 'deputy.toml'), deputyToml, [])?.value;
}

export function readDeployDirectory(directory: string): DeployReading {
  const problems: Problem[] = [];
  const main = readToml(join(directory, 'deputy.toml'), deputyToml, problems);
  const plugins = readPlugins(join(directory, 'plugins'), problems);
  if (main === undefined) return { deploy: undefined, problems };
  const { value: config, document } = main;
  const chains = {
    'set-memlock': config.chain.set_memlock,
    'move-cgroup': config.chain.move_cgroup,
    'set-scheduler': config.chain.set_scheduler,
  };
  checkChains(document, config, plugins, problems);
  checkGroups(document, config, plugins, problems);
  checkPriorities(document, config, plugins, problems);
  if (problems.length > 0) return { deploy: undefined, problems };
  return { deploy: { directory, config, document, plugins: plugins.entries, chains }, problems };
}

interface Plugins {
  readonly entries: ReadonlyMap<string, PluginEntry>;
  /** Names of all that are there, the broken ones too, so that one fault isn't reported twice. */
  readonly seen: ReadonlySet<string>;
}

function readPlugins(directory: string, problems: Problem[]): Plugins {
  const entries = new Map<string, PluginEntry>();
  const seen = new Set<string>();
  let files: string[];
  try {
    files = readdirSync(directory);
  } catch (error) {
    problems.push({
      file: directory,
      line: undefined,
      column: undefined,
      message: `can't be listed: ${(error as NodeJS.ErrnoException).code}`,
      remedy: 'create the directory of the plugins, readable by the daemon',
    });
    return { entries, seen };
  }
  for (const file of files) {
    const match = /^([^.].*)\.(wasm|toml)$/.exec(file);
    if (match?.[1] !== undefined) seen.add(match[1]);
  }
  for (const name of [...seen].sort()) {
    const entry = readPlugin(directory, name, problems);
    if (entry !== undefined) entries.set(name, entry);
  }
  return { entries, seen };
}

function readPlugin(directory: string, name: string, problems: Problem[]): PluginEntry | undefined {
  const file = join(directory, `${name}.wasm`);
  const manifestFile = join(directory, `${name}.toml`);
  const read = readToml(manifestFile, manifest, problems);
  const wasm = readTrustedFile(file, MAX_WASM_BYTES);
  if ('message' in wasm) problems.push(wasm);
  if (read === undefined || 'message' in wasm) return undefined;
  const { value, document } = read;
  const sha256 = createHash('sha256').update(wasm).digest('hex');
  if (sha256 !== value.sha256) {
    problems.push(
      document.problem(
        ['sha256'],
        `${name}.wasm has the sha256 ${sha256}, the manifest pins ${value.sha256}`,
        `if you trust the file, run: deputyctl plugin pin ${file}`,
      ),
    );
    return undefined;
  }
  if (BigInt(wasm.length) > value.limits.module_bytes) {
    problems.push(
      document.problem(
        ['limits', 'module_bytes'],
        `${name}.wasm has ${wasm.length} bytes, more than the limit of ${formatBytes(value.limits.module_bytes)}`,
        'raise limits.module_bytes, or build a smaller module',
      ),
    );
    return undefined;
  }
  return {
    name,
    file,
    manifestFile,
    wasm,
    sha256,
    mode: value.mode,
    limits: limitsOf(value),
    ceilings: ceilingsOf(value, document),
    settings: settingsJson(value.settings),
  };
}

export function limitsOf({ limits }: Manifest): SandboxLimits {
  return {
    fuel: limits.fuel,
    memoryPages: limits.memory_pages,
    tableElements: limits.table_elements,
    callDepth: limits.call_depth,
    moduleBytes: Number(limits.module_bytes),
    logBytes: Number(limits.log_bytes),
  };
}

export function ceilingsOf({ ceilings }: Manifest, document: TomlDocument): Ceilings {
  const { memlock, cgroup, scheduler } = ceilings;
  return {
    source: {
      memlock: document.placeOf(['ceilings', 'memlock', 'max_bytes']),
      cgroup: document.placeOf(['ceilings', 'cgroup', 'groups']),
      scheduler: document.placeOf(['ceilings', 'scheduler']),
    },
    memlock: memlock && { maxBytes: memlock.max_bytes, unlimited: memlock.unlimited },
    cgroup,
    scheduler: scheduler && {
      policies: scheduler.policies,
      maxPriority: scheduler.max_priority,
      minNice: scheduler.min_nice,
      cpus: scheduler.cpus,
    },
  };
}

function checkChains(
  document: TomlDocument,
  config: DeputyToml,
  plugins: Plugins,
  problems: Problem[],
): void {
  const bound = new Set<string>();
  for (const [operation, names] of Object.entries(config.chain)) {
    names.forEach((name, index) => {
      if (!plugins.seen.has(name)) {
        problems.push(
          document.problem(
            ['chain', operation, index],
            `chain ${operation} names the plugin ${JSON.stringify(name)}, which is not in plugins/`,
            `put ${name}.wasm and ${name}.toml there, or take it off the chain`,
          ),
        );
      }
      if (names.indexOf(name) !== index) {
        problems.push(
          document.problem(
            ['chain', operation, index],
            `chain ${operation} names the plugin ${JSON.stringify(name)} twice`,
            'a plugin is asked once for each operation: take one away',
          ),
        );
      }
      bound.add(name);
    });
  }
  for (const name of plugins.seen) {
    if (bound.has(name)) continue;
    problems.push(
      document.problem(
        ['chain'],
        `the plugin ${JSON.stringify(name)} is in plugins/ and on no chain`,
        'put it on a chain, or take its files away: a policy that never runs misleads its readers',
      ),
    );
  }
}

function checkGroups(
  document: TomlDocument,
  config: DeputyToml,
  plugins: Plugins,
  problems: Problem[],
): void {
  const groups = Object.keys(config.group);
  for (const entry of plugins.entries.values()) {
    for (const group of entry.ceilings.cgroup?.groups ?? []) {
      if (groups.includes(group)) continue;
      problems.push(
        document.problem(
          ['group'],
          `${entry.ceilings.source.cgroup} allows the cgroup group ${JSON.stringify(group)}, which deputy.toml does not define (defined: ${groups.join(', ') || 'none'})`,
          `add [group.${group}] with its path, or take it off the ceiling`,
        ),
      );
    }
  }
  for (const [name, group] of Object.entries(config.group)) {
    if ((group.cpus !== undefined || group.mems !== undefined) && !group.create) {
      problems.push(
        document.problem(
          ['group', name],
          `group ${name} sets cpus or mems and create = false`,
          'the daemon only sets up groups that it makes: drop one of the two',
        ),
      );
    }
  }
}

function checkPriorities(
  document: TomlDocument,
  config: DeputyToml,
  plugins: Plugins,
  problems: Problem[],
): void {
  if (!config.canary.enabled) return;
  for (const { name, ceilings } of plugins.entries.values()) {
    const { maxPriority = 0 } = ceilings.scheduler ?? {};
    if (maxPriority < WATCHDOG_PRIORITY) continue;
    problems.push(
      document.problem(
        ['canary'],
        `${ceilings.source.scheduler} allows the plugin ${JSON.stringify(name)} priority ${maxPriority}, which is that of the watchdog over realtime threads: it could not interrupt them`,
        `lower max_priority to ${WATCHDOG_PRIORITY - 1}, or do without the watchdog: [canary] enabled = false`,
      ),
    );
  }
}

/** Reads a file against a schema. Undefined where that fails; what is wrong is added to `problems`. */
export function readToml<S extends v.GenericSchema>(
  file: string,
  schema: S,
  problems: Problem[],
  readFile = readTrustedFile,
): { value: v.InferOutput<S>; document: TomlDocument } | undefined {
  const bytes = readFile(file, MAX_TOML_BYTES);
  if ('message' in bytes) {
    problems.push(bytes);
    return undefined;
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    problems.push({
      file,
      line: undefined,
      column: undefined,
      message: 'is not UTF-8',
      remedy: 'save it as UTF-8',
    });
    return undefined;
  }
  const document = parseToml(file, text);
  if ('message' in document) {
    problems.push(document);
    return undefined;
  }
  return checkToml(document, schema, problems);
}

/** A document that is parsed already against a schema. */
export function checkToml<S extends v.GenericSchema>(
  document: TomlDocument,
  schema: S,
  problems: Problem[],
): { value: v.InferOutput<S>; document: TomlDocument } | undefined {
  const result = v.safeParse(schema, document.value, { abortEarly: false });
  if (result.success) return { value: result.output, document };
  for (const issue of result.issues) problems.push(schemaProblem(document, issue));
  return undefined;
}

function schemaProblem(document: TomlDocument, issue: v.BaseIssue<unknown>): Problem {
  const path = (issue.path ?? []).map((item) => item.key as string | number);
  return document.problem(path, ...describe(path, issue));
}

function describe(path: TomlPath, issue: v.BaseIssue<unknown>): [message: string, remedy: string] {
  const key = path.join('.') || 'the file';
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    return [`unknown key ${key}`, 'correct the spelling or take it away; deputy ignores no key'];
  }
  if (issue.received === 'undefined') return [`${key} is missing`, `add a line: ${key} = …`];
  return [`${key}: ${issue.message}`, 'change the value to one that is allowed'];
}
