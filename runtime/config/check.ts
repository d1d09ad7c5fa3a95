/**
 * The check that `deputyctl check` and the daemon share: reads everything, loads every plugin and calls its `init`.
 * What it returns without problems is what the daemon runs on; nothing is read again later.
 */
import type { CgroupGroup } from '../../host-api/effect.ts';
import type { ChainLink, Chains } from '../chain.ts';
import { loadPlugin } from '../sandbox/plugin.ts';
import { atByte, type Plugin, SandboxError } from '../sandbox/seam.ts';
import { type NamedPattern, namedPattern, SCOPE_PRESETS, Scopes } from '../scope.ts';
import { ScopePatternError } from '../scope-pattern.ts';
import { type Deploy, type PluginEntry, readDeployDirectory } from './deploy.ts';
import type { DeputyToml } from './deputy-toml.ts';
import type { Problem } from './problem.ts';
import type { TomlDocument } from './toml.ts';

export interface CheckedDeploy {
  readonly deploy: Deploy;
  readonly scopes: Scopes;
  readonly groups: ReadonlyMap<string, CgroupGroup>;
  readonly chains: Chains;
  readonly plugins: ReadonlyMap<string, Plugin>;
}

export interface Checked {
  readonly checked: CheckedDeploy | undefined;
  readonly problems: readonly Problem[];
}

export async function checkDeployDirectory(directory: string): Promise<Checked> {
  const { deploy, problems } = readDeployDirectory(directory);
  if (deploy === undefined) return { checked: undefined, problems };
  const found: Problem[] = [...problems];
  const patterns = readPatterns(deploy.document, deploy.config, found);
  const plugins = new Map<string, Plugin>();
  for (const entry of deploy.plugins.values()) {
    const plugin = await load(entry, found);
    if (plugin !== undefined) plugins.set(entry.name, plugin);
  }
  if (found.length > 0) return { checked: undefined, problems: found };
  const checked = {
    deploy,
    scopes: new Scopes(patterns, deploy.config.scope_fallback),
    groups: readGroups(deploy.config),
    chains: bindChains(deploy, plugins),
    plugins,
  };
  return { checked, problems: [] };
}

async function load(entry: PluginEntry, problems: Problem[]): Promise<Plugin | undefined> {
  const { name, wasm, limits, settings, file, manifestFile } = entry;
  try {
    return await loadPlugin({ name, wasm, limits, settings });
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    const refused = error.reason === 'init';
    problems.push({
      file: refused ? manifestFile : file,
      line: undefined,
      column: undefined,
      message: atByte(error),
      remedy: refused
        ? 'correct [settings]: the plugin says what it wants'
        : `see what is in it: deputyctl plugin inspect ${file}`,
    });
    return undefined;
  }
}

function readPatterns(document: TomlDocument, config: DeputyToml, problems: Problem[]): NamedPattern[] {
  return config.scope.flatMap((source, index) => {
    const at = (key: string, message: string, remedy: string): [] => {
      problems.push(document.problem(['scope', index, key], message, remedy));
      return [];
    };
    if ((source.preset === undefined) === (source.pattern === undefined)) {
      return at(
        'name',
        `scope ${source.name} needs either a preset or a pattern`,
        'give exactly one of the two',
      );
    }
    if (source.preset !== undefined && !Object.hasOwn(SCOPE_PRESETS, source.preset)) {
      return at(
        'preset',
        `there is no preset ${JSON.stringify(source.preset)}`,
        `take one of ${Object.keys(SCOPE_PRESETS).join(', ')}, or write a pattern`,
      );
    }
    try {
      return [namedPattern(source.name, source)];
    } catch (error) {
      if (!(error instanceof ScopePatternError)) throw error;
      return at(
        'pattern',
        `pattern ${source.pattern}: ${error.message}`,
        'see docs/identity.md for the form of patterns',
      );
    }
  });
}

function readGroups(config: DeputyToml): Map<string, CgroupGroup> {
  return new Map(
    Object.entries(config.group).map(([name, { path, cpus, mems, threaded, create }]) => [
      name,
      { name, path, cpus, mems, threaded, create },
    ]),
  );
}

function bindChains({ plugins: entries, chains }: Deploy, plugins: ReadonlyMap<string, Plugin>): Chains {
  const link = (name: string): ChainLink[] => {
    const entry = entries.get(name);
    const plugin = plugins.get(name);
    return entry === undefined || plugin === undefined
      ? []
      : [{ plugin, mode: entry.mode, ceilings: entry.ceilings }];
  };
  return {
    'set-memlock': chains['set-memlock'].flatMap(link),
    'move-cgroup': chains['move-cgroup'].flatMap(link),
    'set-scheduler': chains['set-scheduler'].flatMap(link),
  };
}
