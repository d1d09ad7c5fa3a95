import { CommanderError } from 'commander';
import { CallError, ConnectionError } from '../../client/errors.ts';
import { EXIT, type ExitCode, Failure } from './exit-code.ts';
import { createProgram } from './program.ts';
import { printable, type Terminal } from './terminal.ts';

/** Errors that say the call itself is wrong, whatever the policy thinks of it. */
const USAGE_ERRORS = new Set([
  'org.varlink.service.InterfaceNotFound',
  'org.varlink.service.MethodNotFound',
  'org.varlink.service.InvalidParameter',
  'org.varlink.service.ExpectedMore',
  'io.deputy.Broker.InvalidRequest',
]);

/** Runs one command line, without the program's name, and returns the exit code. Throws only on a bug. */
export async function run(words: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const program = createProgram(terminal);
  const commands = [program];
  for (const command of commands) {
    commands.push(...command.commands);
    command.exitOverride().configureOutput({
      writeOut: (text) => terminal.printRaw(text),
      writeErr: (text) => terminal.complainRaw(text),
    });
  }
  try {
    await program.parseAsync([...words], { from: 'user' });
    return terminal.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return report(error, terminal, words.includes('--json'));
  }
}

function report(error: unknown, terminal: Terminal, json: boolean): ExitCode {
  if (error instanceof Failure) {
    terminal.complain(`deputyctl: ${printable(error.message)}`);
    return error.exitCode;
  }
  if (error instanceof ConnectionError) {
    terminal.complain(`deputyctl: ${printable(error.message)}`);
    return EXIT.unreachable;
  }
  if (error instanceof CallError) {
    if (json) terminal.printJson({ error: error.error, parameters: error.parameters });
    terminal.complain(`deputyctl: ${error.code}: ${printable(error.message)}`);
    if (USAGE_ERRORS.has(error.error)) return EXIT.usage;
    return error.class === 'system' ? EXIT.system : EXIT.refused;
  }
  throw error;
}
