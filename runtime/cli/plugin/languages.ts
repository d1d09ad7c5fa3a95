/**
 * The languages that `plugin new` has a template for, and how each is built: by the tools of the author's system,
 * with the command printed, so that it can be taken into another build.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageFile } from '../../package-root.ts';
import { EXIT, Failure } from '../exit-code.ts';

export const LANGUAGES = ['as', 'c', 'cpp', 'rust', 'zig', 'wat', 'js'] as const;
export type LanguageName = (typeof LANGUAGES)[number];

export interface Tool {
  /** Names under which it is looked for, the first that is there is taken. The variable overrules them. */
  readonly names: readonly string[];
  readonly variable: string;
  /** What the version must match: a cross compiler without its target is of no use. */
  readonly install: string;
}

export interface Language {
  readonly title: string;
  readonly source: string;
  /** Files of the template beside `cases.toml` and the manifest, by their place in the package. */
  readonly files: readonly (readonly string[])[];
  /** Undefined: built in this process, by an npm package. */
  readonly tool: Tool | undefined;
  /** Arguments of the tool, from source to `out`. */
  arguments(out: string, tool: string): readonly string[];
}

const CLANG_FLAGS = ['-Os', '-Wall', '-Wextra', '-mbulk-memory'];
const STACK = '--strip-debug,--stack-first,-z,stack-size=16384';
const HEADER = ['examples', 'plugins', 'c', 'deputy.h'];
const none = (): readonly string[] => [];

export const LANGUAGE: Readonly<Record<LanguageName, Language>> = {
  as: {
    title: 'AssemblyScript',
    source: 'policy.ts',
    files: [['plugins-as', 'template', 'policy.ts']],
    tool: undefined,
    arguments: none,
  },
  c: {
    title: 'C',
    source: 'policy.c',
    files: [['examples', 'plugins', 'c', 'policy.c'], HEADER],
    tool: { names: ['clang', 'clang-14'], variable: 'CC', install: 'apt-get install clang lld' },
    arguments: (out) => [
      '--target=wasm32',
      '-std=c11',
      ...CLANG_FLAGS,
      '-ffreestanding',
      '-nostdlib',
      `-Wl,--no-entry,${STACK}`,
      'policy.c',
      '-o',
      out,
    ],
  },
  cpp: {
    title: 'C++',
    source: 'policy.cpp',
    files: [['examples', 'plugins', 'cpp', 'policy.cpp'], HEADER],
    tool: {
      names: ['clang++', 'clang++-14'],
      variable: 'CXX',
      install: 'apt-get install clang lld wasi-libc libc++-14-dev-wasm32 libc++abi-14-dev-wasm32',
    },
    arguments: (out) => [
      '--target=wasm32-wasi',
      '-std=c++17',
      ...CLANG_FLAGS,
      '-fno-exceptions',
      '-fno-rtti',
      '-mexec-model=reactor',
      `-Wl,${STACK}`,
      'policy.cpp',
      '-o',
      out,
    ],
  },
  rust: {
    title: 'Rust',
    source: 'policy.rs',
    files: [
      ['examples', 'plugins', 'rust', 'policy.rs'],
      ['examples', 'plugins', 'rust', 'deputy.rs'],
    ],
    tool: {
      names: ['rustc', '/usr/bin/rustc'],
      variable: 'RUSTC',
      install:
        'rustup target add wasm32-unknown-unknown, or apt-get install rustc libstd-rust-dev-wasm32 lld',
    },
    arguments: (out, tool) => [
      '--target=wasm32-unknown-unknown',
      '--edition=2021',
      '--crate-type=cdylib',
      ...['opt-level=s', 'lto', 'panic=abort', 'strip=symbols', 'link-arg=--stack-first'].flatMap(codegen),
      ...codegen('link-arg=-zstack-size=16384'),
      // Debian's rustc brings no linker of its own, and names lld by its version.
      ...(tool.startsWith('/usr/bin/') && existsSync('/usr/bin/wasm-ld-14')
        ? codegen('linker=wasm-ld-14')
        : []),
      'policy.rs',
      '-o',
      out,
    ],
  },
  zig: {
    title: 'Zig',
    source: 'policy.zig',
    files: [
      ['examples', 'plugins', 'zig', 'policy.zig'],
      ['examples', 'plugins', 'zig', 'deputy.zig'],
    ],
    tool: { names: ['zig'], variable: 'ZIG', install: 'https://ziglang.org/download, 0.16' },
    arguments: (out) => [
      'build-exe',
      'policy.zig',
      '-target',
      'wasm32-freestanding',
      ...['-O', 'ReleaseSmall', '-fno-entry', '-rdynamic', '-fstrip', '--stack', '16384'],
      `-femit-bin=${out}`,
    ],
  },
  wat: {
    title: 'WebAssembly text',
    source: 'policy.wat',
    files: [['examples', 'plugins', 'wat', 'policy.wat']],
    tool: { names: ['wat2wasm'], variable: 'WAT2WASM', install: 'apt-get install wabt' },
    arguments: (out) => ['policy.wat', '-o', out],
  },
  js: {
    title: 'JavaScript, as a component',
    source: 'policy.js',
    files: [['examples', 'plugins', 'js', 'policy.js']],
    tool: undefined,
    arguments: none,
  },
};

/** For messages: "policy.ts, policy.c, …". */
export const SOURCES: string = LANGUAGES.map((name) => LANGUAGE[name].source).join(', ');

function codegen(option: string): string[] {
  return ['-C', option];
}

export function templateFiles(language: LanguageName): string[] {
  return LANGUAGE[language].files.map((path) => packageFile(...path));
}

/** By the source that lies in the folder. Undefined where there is none. */
export function languageOf(directory: string): LanguageName | undefined {
  return LANGUAGES.find((name) => existsSync(join(directory, LANGUAGE[name].source)));
}

/** The tool's path or name. Throws Failure that says how it is had. */
export function findTool(language: LanguageName, env: NodeJS.ProcessEnv): string {
  const { tool, title } = LANGUAGE[language];
  if (tool === undefined) throw new TypeError(`${title} needs no tool of the system`);
  const named = env[tool.variable];
  const candidates = named === undefined || named === '' ? tool.names : [named];
  for (const name of candidates) {
    if (works(language, name)) return name;
  }
  throw new Failure(
    EXIT.system,
    `${title} needs ${candidates.join(' or ')}${named ? ` (from ${tool.variable})` : ''}: not found, or without the target wasm32; to install: ${tool.install}`,
  );
}

function works(language: LanguageName, name: string): boolean {
  const ask = (...words: string[]): string | undefined => {
    const { status, stdout } = spawnSync(name, words, { encoding: 'utf8' });
    return status === 0 ? stdout : undefined;
  };
  switch (language) {
    case 'rust': {
      const directory = ask('--print=target-libdir', '--target=wasm32-unknown-unknown')?.trim();
      return directory !== undefined && existsSync(directory);
    }
    case 'zig':
      return ask('version') !== undefined;
    default:
      return ask('--version') !== undefined;
  }
}
