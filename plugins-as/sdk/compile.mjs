import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import asc from 'assemblyscript/asc';
import ContractTransform from './transform.mjs';

const HERE = import.meta.dirname;
const { transform: _byName, ...CONFIG } = JSON.parse(
  readFileSync(join(HERE, 'asconfig.json'), 'utf8'),
).options;
/** Where asc looks for `@deputy/sdk-as`. */
const SDK_FILE = /(?:^|\/)node_modules\/@deputy\/sdk-as\/(.+)$/;

export class CompileError extends Error {
  constructor(entryFile, message) {
    super(message);
    this.name = 'CompileError';
    this.entryFile = entryFile;
  }
}

export async function compile(entryFile, { runtime, debug = false, wat = false } = {}) {
  const stderr = asc.createMemoryStream();
  const output = new Map();
  const options = {
    ...CONFIG,
    // Paths are part of the module, in the messages of assertions: relative ones are the same everywhere.
    baseDir: dirname(resolve(entryFile)),
    // None: the nearest asconfig.json would change what is compiled.
    config: join(HERE, 'no-asconfig.json'),
    outFile: 'binary',
    ...(runtime === undefined ? {} : { runtime }),
    ...(debug ? { debug: true, optimizeLevel: 0, shrinkLevel: 0, converge: false } : {}),
    ...(wat ? { textFile: 'text' } : {}),
    noColors: true,
  };
  const { error } = await asc.main([basename(entryFile), ...toArguments(options)], {
    stderr,
    stdout: stderr,
    readFile: readSource,
    writeFile: (name, contents) => void output.set(name, contents),
    transforms: [ContractTransform],
  });
  // asc's own note on its optimiser says nothing to anybody.
  const diagnostics = stderr
    .toString()
    .replace(/^Last converge was suboptimal\.$/m, '')
    .trim();
  if (error !== null) throw new CompileError(entryFile, diagnostics === '' ? error.message : diagnostics);
  return { wasm: output.get('binary'), wat: output.get('text'), diagnostics };
}

/** The SDK that compiles is the one that is compiled, wherever the policy lies and whatever is installed there. */
async function readSource(name, baseDir) {
  const path = resolve(baseDir, name);
  const inSdk = SDK_FILE.exec(path)?.[1];
  try {
    return await readFile(inSdk === undefined ? path : join(HERE, inSdk), 'utf8');
  } catch {
    // asc tries several places for each import, and says itself what is nowhere.
    return null;
  }
}

function toArguments(options) {
  return Object.entries(options).flatMap(([name, value]) => {
    if (typeof value === 'boolean') return value ? [`--${name}`] : [];
    return [value].flat().flatMap((item) => [`--${name}`, String(item)]);
  });
}
