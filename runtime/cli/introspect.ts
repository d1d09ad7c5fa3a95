import { Command } from 'commander';
import { parseIdl } from '../varlink/idl.ts';
import { type DaemonOptions, withConnection, withDaemon } from './daemon.ts';
import type { Terminal } from './terminal.ts';

export function introspectCommand(terminal: Terminal): Command {
  const command = new Command('introspect')
    .description("show the daemon's interfaces, or the definition of one")
    .argument('[interface]', 'such as io.deputy.Broker')
    .addHelpText(
      'after',
      `
Examples:
  deputyctl introspect
  deputyctl introspect io.deputy.Broker > io.deputy.Broker.varlink`,
    );
  return withDaemon(command, 'broker').action(async (name: string | undefined, options: DaemonOptions) => {
    await withConnection(terminal, 'broker', options, async (connection) => {
      const describe = async (interfaceName: string): Promise<string> => {
        const parameters = { interface: interfaceName };
        const reply = await connection.call('org.varlink.service.GetInterfaceDescription', parameters);
        return String(reply['description']);
      };
      if (name !== undefined) {
        const description = await describe(name);
        if (options.json === true) terminal.printJson({ interface: name, description });
        else terminal.print(description.trimEnd());
        return;
      }
      const info = await connection.call('org.varlink.service.GetInfo');
      if (options.json === true) return terminal.printJson(info);
      const { vendor, product, version, interfaces } = info;
      terminal.print(`${vendor} ${product} ${version}`);
      for (const each of interfaces as string[]) {
        terminal.print(`${each}\n  ${[...parseIdl(await describe(each)).methods.keys()].join(', ')}`);
      }
    });
  });
}
