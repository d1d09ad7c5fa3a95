import { spawn } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import { packageFile } from '../../package-root.ts';
import { EXIT, Failure } from '../exit-code.ts';
import type { Terminal } from '../terminal.ts';
import { findTool, LANGUAGE, type LanguageName, languageOf, SOURCES } from './languages.ts';
import { pin } from './pin.ts';
import { openProject, type Project } from './project.ts';

const COMPONENTIZE = '@bytecodealliance/componentize-js';
/** Exit code of the build of a component: the package is not there. */
const MISSING = 100;

export function buildCommand(terminal: Terminal): Command {
  return new Command('build')
    .description('compile a plugin, and pin the result in its manifest')
    .argument('[dir]', 'folder of the plugin', '.')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
The language is that of the source: policy.ts (AssemblyScript), policy.c, policy.cpp, policy.rs, policy.zig, policy.wat
or policy.js. CC, CXX, RUSTC, ZIG and WAT2WASM name another compiler.

Example:
  deputyctl plugin build my-policy`,
    )
    .action(async (directory: string, { json }: { json?: boolean }) => {
      const project = openProject(directory);
      const built = await build(project, terminal, json === true);
      if (json === true) terminal.printJson(built);
      else terminal.print(`${project.wasmFile}: ${built.bytes} bytes, sha256 ${built.sha256}, pinned`);
    });
}

export interface Built {
  readonly language: LanguageName;
  readonly bytes: number;
  readonly sha256: string;
}

/** Compiles and pins. Throws Failure with the compiler's own messages. */
export async function build(project: Project, terminal: Terminal, quiet: boolean): Promise<Built> {
  const language = languageOf(project.directory);
  if (language === undefined) {
    throw new Failure(EXIT.usage, `${project.directory} has no source: one of ${SOURCES}`);
  }
  if (language === 'as') await compileAssemblyScript(project, terminal);
  else if (language === 'js') await compileComponent(project);
  else await runTool(project, language, terminal, quiet);
  return { language, bytes: statSync(project.wasmFile).size, sha256: pin(project).sha256 };
}

async function compileAssemblyScript(project: Project, terminal: Terminal): Promise<void> {
  const { compile } = await optional(
    () => import(pathToFileURL(packageFile('plugins-as', 'sdk', 'compile.mjs')).href),
    'assemblyscript',
  );
  try {
    const { wasm, diagnostics } = await compile(join(project.directory, LANGUAGE.as.source));
    if (diagnostics !== '') terminal.complain(diagnostics);
    writeFileSync(project.wasmFile, wasm);
  } catch (error) {
    if (error instanceof Error && error.name === 'CompileError') {
      throw doesNotCompile(LANGUAGE.as.source, error.message);
    }
    throw error;
  }
}

/**
 * In a process of its own, whose imports are resolved from the plugin's folder: componentize-js is a heavy package of
 * the author's, and none of deputy's. Every feature is off, since a policy has no clock, no random and no network.
 */
async function compileComponent(project: Project): Promise<void> {
  const script = `
    import { readFileSync, writeFileSync } from 'node:fs';
    let componentize;
    try {
      ({ componentize } = await import('${COMPONENTIZE}'));
    } catch (error) {
      if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
      console.error(error.message);
      process.exit(${MISSING});
    }
    const [source, witPath, out] = process.argv.slice(1);
    const { component } = await componentize(readFileSync(source, 'utf8'), {
      witPath, worldName: 'policy', disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
    });
    writeFileSync(out, component);`;
  const words = ['--input-type=module', '--eval', script, '--'];
  const files = [LANGUAGE.js.source, packageFile('host-api', 'wit'), basename(project.wasmFile)];
  const { code, output } = await execute(process.execPath, [...words, ...files], project.directory);
  if (code === MISSING) throw notInstalled(COMPONENTIZE, output);
  if (code !== 0) throw doesNotCompile(LANGUAGE.js.source, output);
}

// biome-ignore lint/suspicious/noExplicitAny: optional packages have no types here
async function optional(load: () => Promise<any>, name: string): Promise<any> {
  try {
    return await load();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') throw error;
    throw notInstalled(name, (error as Error).message);
  }
}

function notInstalled(name: string, because: string): Failure {
  return new Failure(
    EXIT.system,
    `${name} is not installed (${because.trim()}); to install: npm install --save-dev ${name}`,
  );
}

function doesNotCompile(source: string, output: string): Failure {
  return new Failure(EXIT.refused, `${source} does not compile\n${output.trim()}`);
}

async function runTool(
  project: Project,
  language: LanguageName,
  terminal: Terminal,
  quiet: boolean,
): Promise<void> {
  const tool = findTool(language, terminal.env);
  const words = LANGUAGE[language].arguments(basename(project.wasmFile), tool);
  if (!quiet) terminal.print(`$ ${[tool, ...words].join(' ')}`);
  const { code, output } = await execute(tool, words, project.directory);
  if (code !== 0) throw doesNotCompile(LANGUAGE[language].source, output);
  if (output.trim() !== '') terminal.complain(output.trim());
}

function execute(
  tool: string,
  words: readonly string[],
  directory: string,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(tool, words, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}
