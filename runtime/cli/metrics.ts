import { Command } from 'commander';
import type { MetricsReply } from '../../client/admin-types.ts';
import { ADMIN_VERSION } from '../broker/admin-interface.ts';
import { type DaemonOptions, withConnection, withDaemon } from './daemon.ts';
import type { Terminal } from './terminal.ts';

export function metricsCommand(terminal: Terminal): Command {
  const command = new Command('metrics')
    .description('print counters in the text format of Prometheus (root only)')
    .addHelpText(
      'after',
      `
What a plugin that monitors would have decided is deputy_decisions_total{mode="monitor"}.

Example, for node_exporter's textfile collector:
  deputyctl metrics > /var/lib/node_exporter/deputy.prom.tmp && mv /var/lib/node_exporter/deputy.prom{.tmp,}`,
    );
  return withDaemon(command, 'admin').action(async (options: DaemonOptions) => {
    const reply = await withConnection(terminal, 'admin', options, (connection) =>
      connection.call('io.deputy.Admin.Metrics', { version: ADMIN_VERSION }),
    );
    if (options.json === true) terminal.printJson(reply);
    else terminal.printRaw((reply as unknown as MetricsReply).text);
  });
}
