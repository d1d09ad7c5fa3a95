import { type Command, InvalidArgumentError, Option } from 'commander';
import { parse } from 'lossless-json';
import { OPERATIONS } from '../../../host-api/contract.ts';
import { auditLines } from '../../audit/verify.ts';
import { describeRecord, member } from '../describe-record.ts';
import { EXIT } from '../exit-code.ts';
import type { Terminal } from '../terminal.ts';
import { type AuditOptions, auditBase, findAudit } from './files.ts';

interface ShowOptions extends AuditOptions {
  readonly verdict?: string;
  readonly uid?: string;
  readonly scope?: string;
  readonly operation?: string;
  readonly since?: string;
  readonly last?: number;
}

type Record_ = Readonly<Record<string, unknown>>;

export function showCommand(terminal: Terminal): Command {
  return auditBase('show')
    .description('print records, the oldest first')
    .addOption(new Option('--operation <name>', 'of this operation').choices([...OPERATIONS]))
    .option('--verdict <verdict>', 'with this verdict: allow, deny, or the code of an error')
    .option('--uid <uid>', 'asked by this uid')
    .option('--scope <path>', 'in this scope, or one below it')
    .option('--since <time>', 'from this time on, such as 2026-11-01 or 2026-11-01T08:00:00Z', instant)
    .option('--last <n>', 'the last n of them', positive)
    .addHelpText(
      'after',
      `
Lines that are damaged are named and left out; deputyctl audit verify says more. With --json, one record a line.

Examples:
  deputyctl audit show --verdict Denied --last 20
  deputyctl audit show /var/log/deputy/audit.jsonl --uid 107 --json | jq .facts.target.memlock`,
    )
    .action(async (file: string | undefined, options: ShowOptions) => {
      const { files } = findAudit(file, options.config);
      const print = (record: Record_): void => {
        if (options.json === true) terminal.printJson(record, 0);
        else terminal.print(describeRecord(record));
      };
      // Only the last ones are held: a log of gigabytes is read in passing.
      const kept: Record_[] = [];
      for await (const { file: from, line, text } of auditLines(files)) {
        const record = readRecord(text);
        if (record === undefined) {
          terminal.complain(`deputyctl: ${from}:${line}: damaged, left out`);
          terminal.exitCode = EXIT.refused;
          continue;
        }
        if (!matches(record, options)) continue;
        if (options.last === undefined) print(record);
        else {
          kept.push(record);
          if (kept.length > options.last) kept.shift();
        }
      }
      for (const record of kept) print(record);
    });
}

function readRecord(text: string): Record_ | undefined {
  try {
    const value = parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record_)
      : undefined;
  } catch {
    return undefined;
  }
}

function matches(record: Record_, { verdict, uid, scope, operation, since }: ShowOptions): boolean {
  const at = (name: string, key: string): string => `${member(record, name)[key] ?? ''}`;
  const path = at('scope', 'path');
  return (
    (verdict === undefined || record['verdict'] === verdict) &&
    (uid === undefined || at('peer', 'uid') === uid) &&
    (scope === undefined || path === scope || path.startsWith(`${scope.replace(/\/$/, '')}/`)) &&
    (operation === undefined || at('operation', 'tag') === operation) &&
    (since === undefined || `${record['time']}` >= since)
  );
}

/** Times in records are UTC and of one length: they compare as text. */
function instant(text: string): string {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new InvalidArgumentError('It is no time such as 2026-11-01T08:00:00Z.');
  return new Date(time).toISOString();
}

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new InvalidArgumentError('It is no number from 1 on.');
  return number;
}
