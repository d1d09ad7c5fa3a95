import { Command } from 'commander';
import type { CapabilitiesReply } from '../../client/types.ts';
import { BROKER_VERSION } from '../broker/interface.ts';
import { type DaemonOptions, withConnection, withDaemon } from './daemon.ts';
import { describeCapabilities } from './describe-reply.ts';
import type { Terminal } from './terminal.ts';

export function capabilitiesCommand(terminal: Terminal): Command {
  const command = new Command('capabilities').description(
    'show what this host and daemon can do, and the scope that the daemon sees you in',
  );
  return withDaemon(command, 'broker').action(async (options: DaemonOptions) => {
    const reply = await withConnection(terminal, 'broker', options, (connection) =>
      connection.call('io.deputy.Broker.Capabilities', { version: BROKER_VERSION }),
    );
    if (options.json === true) terminal.printJson(reply);
    else terminal.print(describeCapabilities(reply as unknown as CapabilitiesReply));
  });
}
