import { Command } from 'commander';
import type { DrainReply } from '../../client/admin-types.ts';
import { ADMIN_VERSION } from '../broker/admin-interface.ts';
import { type DaemonOptions, withConnection, withDaemon } from './daemon.ts';
import { describeRelease } from './describe-reply.ts';
import { EXIT } from './exit-code.ts';
import { printable, type Terminal } from './terminal.ts';

export function drainCommand(terminal: Terminal): Command {
  const command = new Command('drain')
    .description('take everything back that is granted, and grant nothing until the next start (root only)')
    .addHelpText(
      'after',
      `
Running programs keep running, with the limits, cgroups and schedulers that they had before. Exits with 4 where
something could not be restored.`,
    );
  return withDaemon(command, 'admin').action(async (options: DaemonOptions) => {
    const reply = await withConnection(terminal, 'admin', options, (connection) =>
      connection.call('io.deputy.Admin.Drain', { version: ADMIN_VERSION }),
    );
    const drained = reply as unknown as DrainReply;
    if (drained.failed.length > 0) terminal.exitCode = EXIT.system;
    if (options.json === true) return terminal.printJson(reply);
    terminal.print(describeRelease(drained));
    for (const message of drained.failed) terminal.print(printable(`could not be restored: ${message}`));
  });
}
