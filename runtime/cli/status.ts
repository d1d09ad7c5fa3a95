import { Command } from 'commander';
import type { StatusReply } from '../../client/admin-types.ts';
import { ADMIN_VERSION } from '../broker/admin-interface.ts';
import { type DaemonOptions, withConnection, withDaemon } from './daemon.ts';
import { count } from './describe-reply.ts';
import type { Terminal } from './terminal.ts';

export function statusCommand(terminal: Terminal): Command {
  const command = new Command('status').description('show how the daemon is (root only)');
  return withDaemon(command, 'admin').action(async (options: DaemonOptions) => {
    const reply = await withConnection(terminal, 'admin', options, (connection) =>
      connection.call('io.deputy.Admin.Status', { version: ADMIN_VERSION }),
    );
    if (options.json === true) terminal.printJson(reply);
    else terminal.print(describeStatus(reply as unknown as StatusReply));
  });
}

function describeStatus(status: StatusReply): string {
  const { daemonVersion, pid, uptimeMs, draining, connections, grants, plugins, chains } = status;
  return [
    `deputyd ${daemonVersion}, pid ${pid}, up ${describeDuration(uptimeMs)}${draining ? ', DRAINING: grants nothing new' : ''}`,
    `${count(connections, 'connection')}, ${count(grants, 'grant')} in the ledger`,
    `audit at record ${status.auditSequence}, ${status.auditHash}${status.auditFailing ? ' (CAN NOT BE WRITTEN)' : ''}`,
    ...chains.map(
      ({ operation, plugins: names }) =>
        `${operation.padEnd(13)}  ${names.join(', then ') || 'always denied'}`,
    ),
    ...plugins.map(({ name, sha256, kind }) => `plugin ${name} (${kind})  sha256 ${sha256}`),
  ].join('\n');
}

/** "3 d 4 h", "12 s": the two largest units. */
export function describeDuration(durationMs: number): string {
  const seconds = Math.floor(durationMs / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first === -1) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}
