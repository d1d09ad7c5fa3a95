import type { Command } from 'commander';
import { type AuditHead, readHead } from '../../audit/log.ts';
import { type Verification, verifyAudit } from '../../audit/verify.ts';
import { count } from '../describe-reply.ts';
import { EXIT, Failure } from '../exit-code.ts';
import type { Terminal } from '../terminal.ts';
import { type AuditOptions, auditBase, findAudit } from './files.ts';

export function verifyCommand(terminal: Terminal): Command {
  return auditBase('verify')
    .description('check the chain of hashes: nothing changed, cut out, put in or cut off')
    .option(
      '--head <file>',
      "where the daemon keeps its last record's number (else in deputy.toml's state.directory)",
    )
    .addHelpText(
      'after',
      `
Exits with 1 where there is a fault. That the end was cut off shows only with the daemon's own note of its last record.
Whoever is root on the host can write both anew: send the log elsewhere if that matters.

Example:
  deputyctl audit verify && deputyctl audit show --last 5`,
    )
    .action(async (file: string | undefined, options: AuditOptions & { readonly head?: string }) => {
      const { files, headFile } = findAudit(file, options.config);
      // Before the log: what is written meanwhile is behind it, and accuses nobody.
      const head = headOf(options.head, headFile);
      const result = await verifyAudit(files, head);
      if (result.faults.length > 0) terminal.exitCode = EXIT.refused;
      if (options.json === true) terminal.printJson({ ...result, head, ok: result.faults.length === 0 });
      else terminal.print(describe(result, head));
    });
}

function headOf(named: string | undefined, kept: string | undefined): AuditHead | undefined {
  const file = named ?? kept;
  if (file === undefined) return undefined;
  try {
    const head = readHead(file);
    if (head === undefined && named !== undefined) throw new Error('it holds no number and hash');
    return head;
  } catch (error) {
    throw new Failure(
      EXIT.usage,
      `${file}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`,
    );
  }
}

function describe(
  { files, records, stumps, complete, lastSeq, lastHash, faults }: Verification,
  head: AuditHead | undefined,
): string {
  return [
    ...faults.map(({ file, line, message }) => `${file}:${line}: ${message}`),
    `${count(records, 'record')} in ${count(files.length, 'file')}, up to record ${lastSeq}, sha256 ${lastHash}`,
    complete ? 'from the first record on' : 'earlier records were rotated away',
    ...(stumps > 0 ? [`${count(stumps, 'line')} that a crash left unfinished, all accounted for`] : []),
    head === undefined
      ? 'whether the end was cut off is not known: the daemon keeps no number of its last record here'
      : `the daemon's own note is of record ${head.seq}`,
    faults.length === 0 ? 'good' : `${count(faults.length, 'fault')} found`,
  ].join('\n');
}
