import { Command } from 'commander';
import type { Reply } from '../../client/connection.ts';
import type { CapabilitiesReply, ExplainReply, Outcome, ReleaseReply } from '../../client/types.ts';
import { BROKER_VERSION } from '../broker/interface.ts';
import { type DaemonOptions, withConnection, withDaemon } from './daemon.ts';
import {
  describeCapabilities,
  describeExplanation,
  describeOutcome,
  describeRelease,
} from './describe-reply.ts';
import { findMethod, roleOf } from './method.ts';
import { PARAMETERS_HELP, readParameters } from './parameters.ts';
import type { Terminal } from './terminal.ts';

export function callCommand(terminal: Terminal): Command {
  const command = new Command('call')
    .description('call a method of the daemon')
    .argument('<method>', 'such as SetMemlock, Release or org.varlink.service.GetInfo')
    .argument('[params...]', 'JSON object or KEY=VALUE pairs; version is filled in')
    .option('--more', 'ask for more than one reply, and print each')
    .addHelpText(
      'after',
      `
${PARAMETERS_HELP}

Without a target, a call is about the calling process: deputyctl itself. A lease ends with the connection, so with
deputyctl at once.

Examples:
  deputyctl call SetMemlock pid=412 hardBytes=4GiB
  deputyctl call SetScheduler '{"target": {"pid": 412, "onlyThreads": [415]}, "policy": "fifo", "priority": 10}'
  deputyctl call MoveCgroup pid=412 exceptThreads=415,416 group=housekeeping
  deputyctl call Release pid=412`,
    );
  return withDaemon(command, 'broker').action(
    async (name: string, words: string[], options: DaemonOptions & { more?: boolean }) => {
      await withConnection(terminal, roleOf(name), options, async (connection) => {
        const method = await findMethod(name, connection);
        const parameters = readParameters(words, method.idl, method.input, BROKER_VERSION);
        if (options.more === true) {
          for await (const reply of connection.stream(method.fullName, parameters))
            terminal.printJson(reply, 0);
          return;
        }
        const reply = await connection.call(method.fullName, parameters);
        const text = options.json === true ? undefined : describeReply(method.fullName, reply);
        if (text === undefined) terminal.printJson(reply);
        else terminal.print(text);
      });
    },
  );
}

/** Undefined where JSON is the most readable form there is. */
function describeReply(method: string, reply: Reply): string | undefined {
  switch (method) {
    case 'io.deputy.Broker.SetMemlock':
    case 'io.deputy.Broker.MoveCgroup':
    case 'io.deputy.Broker.SetScheduler':
      return describeOutcome(reply['outcome'] as Outcome);
    case 'io.deputy.Broker.Release':
      return describeRelease(reply as unknown as ReleaseReply);
    case 'io.deputy.Broker.Explain':
      return describeExplanation(reply as unknown as ExplainReply);
    case 'io.deputy.Broker.Capabilities':
      return describeCapabilities(reply as unknown as CapabilitiesReply);
    default:
      return undefined;
  }
}
