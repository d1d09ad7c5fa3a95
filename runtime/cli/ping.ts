import { Command } from 'commander';
import { BROKER_VERSION } from '../broker/interface.ts';
import { type DaemonOptions, withConnection, withDaemon } from './daemon.ts';
import type { Terminal } from './terminal.ts';

export function pingCommand(terminal: Terminal): Command {
  const command = new Command('ping')
    .description('see whether the daemon answers, and how quickly')
    .addHelpText(
      'after',
      `
Example:
  deputyctl ping && systemctl start my-vm`,
    );
  return withDaemon(command, 'broker').action(async (options: DaemonOptions) => {
    await withConnection(terminal, 'broker', options, async (connection) => {
      const startMs = performance.now();
      const { version } = await connection.call('io.deputy.Broker.Ping', { version: BROKER_VERSION });
      const latencyUs = Math.round((performance.now() - startMs) * 1000);
      if (options.json === true) terminal.printJson({ version, latencyUs });
      else terminal.print(`io.deputy.Broker version ${version}, answered in ${latencyUs} µs`);
    });
  });
}
