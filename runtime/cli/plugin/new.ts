import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import * as v from 'valibot';
import { name as pluginName } from '../../config/values.ts';
import { packageFile } from '../../package-root.ts';
import { EXIT, Failure } from '../exit-code.ts';
import type { Terminal } from '../terminal.ts';
import { LANGUAGE, LANGUAGES, type LanguageName, templateFiles } from './languages.ts';
import { CASES } from './project.ts';

export function newCommand(terminal: Terminal): Command {
  return new Command('new')
    .description('make the folder of a new plugin that builds and passes its test')
    .argument('<name>', 'name of the plugin, or path of its folder')
    .addOption(
      new Option('--lang <language>', 'language of the policy').choices([...LANGUAGES]).default('as'),
    )
    .addHelpText(
      'after',
      `
Languages: ${LANGUAGES.map((name) => `${name} (${LANGUAGE[name].title})`).join(', ')}.

Example:
  deputyctl plugin new my-policy --lang c && deputyctl plugin test my-policy`,
    )
    .action((path: string, { lang }: { lang: LanguageName }) => {
      const directory = resolve(path);
      const name = basename(directory);
      const checked = v.safeParse(pluginName, name);
      if (!checked.success) throw new Failure(EXIT.usage, checked.issues[0].message);
      if (existsSync(directory) && readdirSync(directory).length > 0) {
        throw new Failure(EXIT.usage, `${path} exists and is not empty`);
      }
      const files = write(directory, name, lang);
      terminal.print(
        [
          `${path}: ${files.join(', ')}`,
          `Next: deputyctl plugin test ${path}    # builds it and runs ${CASES}`,
        ].join('\n'),
      );
    });
}

function write(directory: string, name: string, language: LanguageName): string[] {
  mkdirSync(directory, { recursive: true });
  const files = [...templateFiles(language), packageFile('plugins-as', 'template', CASES)];
  for (const file of files) copyFileSync(file, join(directory, basename(file)));
  const manifest = readFileSync(packageFile('plugins-as', 'template', 'plugin.toml'), 'utf8');
  writeFileSync(join(directory, `${name}.toml`), manifest + (language === 'js' ? ENGINE_LIMITS : ''));
  writeFileSync(join(directory, '.gitignore'), '*.wasm\n');
  return [...files.map((file) => basename(file)), `${name}.toml`].sort();
}

/** A JavaScript engine comes along. */
const ENGINE_LIMITS = `
[limits]
module_bytes = "16 MiB"
memory_pages = 1024
table_elements = 100000
call_depth = 1024
fuel = 1000000000
`;
