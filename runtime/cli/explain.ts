import { Command } from 'commander';
import type { ExplainReply } from '../../client/types.ts';
import { BROKER, BROKER_VERSION } from '../broker/interface.ts';
import { type DaemonOptions, withConnection, withDaemon } from './daemon.ts';
import { describeExplanation } from './describe-reply.ts';
import { EXIT, Failure } from './exit-code.ts';
import { ownMethod } from './method.ts';
import { PARAMETERS_HELP, readParameters } from './parameters.ts';
import type { Terminal } from './terminal.ts';

export const EXPLAINABLE = ['SetMemlock', 'MoveCgroup', 'SetScheduler'] as const;

export function explainCommand(terminal: Terminal): Command {
  const command = new Command('explain')
    .description('show how a call would be decided, without applying anything')
    .argument('<method>', EXPLAINABLE.join(', '))
    .argument('[params...]', 'as for call')
    .addHelpText(
      'after',
      `
${PARAMETERS_HELP}

The decision is for the process that asks: run it as the uid and in the cgroup that you want to know about.
Exits with 0 where the call would be allowed, with 1 where it would be denied.

Examples:
  deputyctl explain SetMemlock pid=412 hardBytes=4GiB
  deputyctl explain SetScheduler pid=412 policy=fifo priority=50 --json`,
    );
  return withDaemon(command, 'broker').action(
    async (name: string, words: string[], options: DaemonOptions) => {
      const method = ownMethod(name);
      const short = method?.fullName.replace('io.deputy.Broker.', '') ?? '';
      if (method === undefined || !(EXPLAINABLE as readonly string[]).includes(short)) {
        throw new Failure(
          EXIT.usage,
          `${JSON.stringify(name)} can't be explained; these can: ${EXPLAINABLE.join(', ')}`,
        );
      }
      const parameters = readParameters(words, BROKER, method.input, BROKER_VERSION);
      const reply = await withConnection(terminal, 'broker', options, (connection) =>
        connection.call('io.deputy.Broker.Explain', { version: BROKER_VERSION, method: short, parameters }),
      );
      const explanation = reply as unknown as ExplainReply;
      if (options.json === true) terminal.printJson(reply);
      else terminal.print(describeExplanation(explanation));
      if (explanation.verdict !== 'allow') terminal.exitCode = EXIT.refused;
    },
  );
}
