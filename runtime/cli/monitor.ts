import { Command } from 'commander';
import type { MonitorReply } from '../../client/admin-types.ts';
import { ADMIN_VERSION } from '../broker/admin-interface.ts';
import { type DaemonOptions, withConnection, withDaemon } from './daemon.ts';
import { describeRecord } from './describe-record.ts';
import type { Terminal } from './terminal.ts';

export function monitorCommand(terminal: Terminal): Command {
  const command = new Command('monitor')
    .description('follow the audit records as they are written (root only)')
    .addHelpText(
      'after',
      `
Prints until interrupted, or until the daemon stops. With --json, one record a line.

Example:
  deputyctl monitor --json | jq -c 'select(.verdict != "allow")'`,
    );
  return withDaemon(command, 'admin').action(async (options: DaemonOptions) => {
    await withConnection(terminal, 'admin', options, async (connection) => {
      const replies = connection.stream('io.deputy.Admin.Monitor', { version: ADMIN_VERSION });
      for await (const reply of replies) {
        const { record, dropped } = reply as unknown as MonitorReply;
        if (dropped > 0) terminal.complain(`deputyctl: too slow: ${dropped} records were left out`);
        if (record === undefined) continue;
        if (options.json === true) terminal.printJson(record, 0);
        else terminal.print(describeRecord(record));
      }
    });
  });
}
