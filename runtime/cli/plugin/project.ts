/** A plugin's folder: NAME.toml, NAME.wasm, cases.toml, and the source that NAME.wasm is built from. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ceilingsOf, limitsOf, MAX_WASM_BYTES, readToml } from '../../config/deploy.ts';
import { type Manifest, manifest, settingsJson } from '../../config/manifest.ts';
import { formatProblem, type Problem } from '../../config/problem.ts';
import { readOwnFile } from '../../config/read-file.ts';
import type { TomlDocument } from '../../config/toml.ts';
import { loadPlugin } from '../../sandbox/plugin.ts';
import { atByte, type Plugin, SandboxError } from '../../sandbox/seam.ts';
import { EXIT, Failure } from '../exit-code.ts';

export const CASES = 'cases.toml';

export interface Project {
  readonly name: string;
  readonly directory: string;
  readonly manifestFile: string;
  readonly wasmFile: string;
  readonly casesFile: string;
}

/** `path`: the folder, or a .wasm or .toml file in it. Throws Failure where there is not exactly one manifest. */
export function openProject(path: string): Project {
  if (!existsSync(path)) throw new Failure(EXIT.usage, `${path} does not exist`);
  if (!statSync(path).isDirectory()) {
    const match = /^(.+)\.(wasm|toml)$/.exec(basename(path));
    if (match?.[1] === undefined)
      throw new Failure(EXIT.usage, `${path} is no folder, no .wasm and no manifest`);
    return project(dirname(path), match[1]);
  }
  const manifests = readdirSync(path).filter((file) => file.endsWith('.toml') && file !== CASES);
  const [only] = manifests;
  if (only === undefined || manifests.length > 1) {
    throw new Failure(
      EXIT.usage,
      manifests.length === 0
        ? `${path} has no manifest NAME.toml; deputyctl plugin new makes a folder that has one`
        : `${path} has ${manifests.length} manifests (${manifests.sort().join(', ')}): name the one that is meant`,
    );
  }
  return project(path, only.slice(0, -'.toml'.length));
}

function project(directory: string, name: string): Project {
  return {
    name,
    directory,
    manifestFile: join(directory, `${name}.toml`),
    wasmFile: join(directory, `${name}.wasm`),
    casesFile: join(directory, CASES),
  };
}

export interface ReadManifest {
  readonly value: Manifest;
  readonly document: TomlDocument;
}

/** Throws Failure with every problem. The digest is not compared: these commands are for files that change. */
export function readManifest({ manifestFile }: Project): ReadManifest {
  const problems: Problem[] = [];
  const read = readToml(manifestFile, manifest, problems, readOwnFile);
  if (read === undefined) throw failed(problems);
  return read;
}

export function readWasm({ wasmFile }: Project): Uint8Array {
  const wasm = readOwnFile(wasmFile, MAX_WASM_BYTES);
  if ('message' in wasm) throw failed([wasm]);
  return wasm;
}

/** As the daemon loads it: metered, `init` called with the manifest's settings. Throws Failure. */
export async function loadProject(project: Project, { value, document }: ReadManifest): Promise<Loaded> {
  const limits = limitsOf(value);
  try {
    const plugin = await loadPlugin({
      name: project.name,
      wasm: readWasm(project),
      limits,
      settings: settingsJson(value.settings),
    });
    return { plugin, ceilings: ceilingsOf(value, document), fuelLimit: limits.fuel };
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    throw new Failure(EXIT.refused, atByte(error));
  }
}

export interface Loaded {
  readonly plugin: Plugin;
  readonly ceilings: ReturnType<typeof ceilingsOf>;
  readonly fuelLimit: bigint;
}

export function failed(problems: readonly Problem[]): Failure {
  return new Failure(EXIT.usage, problems.map(formatProblem).join('\n'));
}
