import { createHash } from 'node:crypto';
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { parseToml } from '../../config/toml.ts';
import { EXIT, Failure } from '../exit-code.ts';
import type { Terminal } from '../terminal.ts';
import { failed, openProject, type Project, readWasm } from './project.ts';

export function pinCommand(terminal: Terminal): Command {
  return new Command('pin')
    .description("write a plugin's sha256 into its manifest")
    .argument('<wasm>', 'the .wasm file, or its folder')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
The daemon starts only with modules that are pinned: pin what you have built yourself or have read. The rest of the
manifest stays as it is.

Example:
  deputyctl plugin pin /etc/deputy/plugins/libvirt.wasm`,
    )
    .action((path: string, { json }: { json?: boolean }) => {
      const project = openProject(path);
      const { sha256, before } = pin(project);
      if (json === true) terminal.printJson({ manifest: project.manifestFile, sha256, before });
      else terminal.print(`${project.manifestFile}: ${before === sha256 ? 'already ' : ''}pins ${sha256}`);
    });
}

/** Replaces the value alone, so that comments and order stay; the file is there as a whole at every moment. */
export function pin(project: Project): { readonly sha256: string; readonly before: string | undefined } {
  const { manifestFile } = project;
  const sha256 = createHash('sha256').update(readWasm(project)).digest('hex');
  let text: string;
  try {
    text = readFileSync(manifestFile, 'utf8');
  } catch (error) {
    throw new Failure(
      EXIT.usage,
      `${manifestFile}: ${(error as NodeJS.ErrnoException).code}; the manifest says what the plugin may do, so it must be there first`,
    );
  }
  const document = parseToml(manifestFile, text);
  if ('message' in document) throw failed([document]);
  const before = document.value['sha256'];
  if (before === sha256) return { sha256, before };
  const pinned = replaceValue(
    text,
    before === undefined ? undefined : document.positionOf(['sha256']).line,
    sha256,
  );
  const check = parseToml(manifestFile, pinned);
  if ('message' in check || check.value['sha256'] !== sha256) {
    throw new Failure(EXIT.usage, `${manifestFile}: sha256 must stand on a line of its own: sha256 = "…"`);
  }
  const temporary = `${manifestFile}.${process.pid}.tmp`;
  writeFileSync(temporary, pinned, { mode: statSync(manifestFile).mode });
  renameSync(temporary, manifestFile);
  return { sha256, before: typeof before === 'string' ? before : undefined };
}

function replaceValue(text: string, line: number | undefined, sha256: string): string {
  // Keys of the root stand ahead of the first table, and so does one at the very beginning.
  if (line === undefined) return `sha256 = "${sha256}"\n${text}`;
  const lines = text.split('\n');
  lines[line - 1] = (lines[line - 1] ?? '').replace(
    /^(\s*(?:"sha256"|'sha256'|sha256)\s*=\s*)(?:"[^"]*"|'[^']*')/,
    `$1"${sha256}"`,
  );
  return lines.join('\n');
}
