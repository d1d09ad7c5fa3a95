#!/usr/bin/env node
import { Command } from 'commander';
import { pino } from 'pino';
import { checkDeployDirectory } from './config/check.ts';
import { formatProblem } from './config/problem.ts';
import { Daemon, type Overrides, StartError } from './daemon.ts';
import { ListenError } from './listen.ts';
import { VERSION } from './version.ts';

const EXIT_CONFIG = 2;
const EXIT_START = 3;

interface Options {
  readonly config: string;
  readonly socket?: string;
  readonly adminSocket?: string;
  readonly stateDir?: string;
  readonly auditFile?: string;
}

async function main(): Promise<void> {
  const program = new Command('deputyd')
    .description(
      'Decides and does privileged operations for unprivileged programs, as policy plugins allow them.',
    )
    .version(VERSION)
    .requiredOption('--config <dir>', 'deploy directory: deputy.toml and plugins/', '/etc/deputy')
    .option('--socket <path>', "listen here instead of at deputy.toml's listen.socket")
    .option('--admin-socket <path>', 'listen here for the operator instead of at listen.admin_socket')
    .option('--state-dir <dir>', "keep the ledger here instead of in deputy.toml's state.directory")
    .option('--audit-file <file>', "write the audit here instead of to deputy.toml's audit.file")
    .addHelpText(
      'after',
      `
Exit codes: 0 stopped by SIGTERM or SIGINT, 2 the deploy directory has problems (all are printed),
3 the daemon can't start (socket, state directory, audit log).

Logs are JSON lines on standard output. Check a deploy directory without starting: deputyctl check DIR`,
    )
    .parse();
  const options = program.opts<Options>();
  const { checked, problems } = await checkDeployDirectory(options.config);
  if (checked === undefined) {
    for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
    process.stderr.write(
      `deputyd: ${problems.length} problem${problems.length === 1 ? '' : 's'} in ${options.config}\n`,
    );
    process.exitCode = EXIT_CONFIG;
    return;
  }
  const logger = pino(
    { name: 'deputyd', level: checked.deploy.config.log.level },
    pino.destination({ fd: 1, sync: true }),
  );
  const overrides: Overrides = {
    socket: options.socket,
    adminSocket: options.adminSocket,
    stateDirectory: options.stateDir,
    auditFile: options.auditFile,
  };
  const daemon = await Daemon.start(checked, overrides, logger);
  logger.info(
    { version: VERSION, addresses: daemon.addresses, plugins: [...checked.plugins.keys()] },
    'listening',
  );
  const stop = (signal: NodeJS.Signals): void => {
    logger.info({ signal }, 'stopping');
    daemon.stop().catch((error: unknown) => {
      logger.error({ err: error }, 'stopping failed');
      process.exit(1);
    });
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

main().catch((error: unknown) => {
  if (!(error instanceof StartError || error instanceof ListenError)) throw error;
  process.stderr.write(`deputyd: ${error.message}\n`);
  process.exit(EXIT_START);
});
