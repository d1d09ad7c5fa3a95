/** deputyctl's commands. A new one is a file of its own and a line here. */
import { Command } from 'commander';
import { VERSION } from '../version.ts';
import { auditCommand } from './audit/index.ts';
import { callCommand } from './call.ts';
import { capabilitiesCommand } from './capabilities.ts';
import { checkCommand } from './check.ts';
import { completeCommand, completionCommand } from './completion.ts';
import { drainCommand } from './drain.ts';
import { EXIT_CODES_HELP } from './exit-code.ts';
import { explainCommand } from './explain.ts';
import { introspectCommand } from './introspect.ts';
import { ledgerCommand } from './ledger.ts';
import { metricsCommand } from './metrics.ts';
import { monitorCommand } from './monitor.ts';
import { pingCommand } from './ping.ts';
import { pluginCommand } from './plugin/index.ts';
import { replayCommand } from './replay.ts';
import { statusCommand } from './status.ts';
import type { Terminal } from './terminal.ts';

export function createProgram(terminal: Terminal): Command {
  const program = new Command('deputyctl')
    .description("deputy's tool for operators and authors of policy plugins")
    .version(VERSION)
    .showHelpAfterError('(deputyctl --help shows what there is)')
    .addHelpText('after', `\n${EXIT_CODES_HELP}`);
  const groups: Readonly<Record<string, Command[]>> = {
    'Clients:': [
      callCommand(terminal),
      explainCommand(terminal),
      capabilitiesCommand(terminal),
      pingCommand(terminal),
      introspectCommand(terminal),
    ],
    'Operators:': [
      checkCommand(terminal),
      statusCommand(terminal),
      ledgerCommand(terminal),
      monitorCommand(terminal),
      metricsCommand(terminal),
      auditCommand(terminal),
      replayCommand(terminal),
      drainCommand(terminal),
    ],
    'Authors of policies:': [pluginCommand(terminal)],
    'Shell:': [completionCommand(terminal)],
  };
  for (const [heading, commands] of Object.entries(groups)) {
    for (const command of commands) program.addCommand(command.helpGroup(heading));
  }
  program.addCommand(completeCommand(terminal, program), { hidden: true });
  return program;
}
