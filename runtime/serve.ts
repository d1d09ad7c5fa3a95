/** deputyd from its checked deploy directory to its end, in a process that has laid down its privileges. */
import { pino } from 'pino';
import { checkDeployDirectory } from './config/check.ts';
import { formatProblem } from './config/problem.ts';
import { Daemon, type Overrides } from './daemon.ts';
import { ServiceManager } from './service-manager.ts';
import { VERSION } from './version.ts';

const EXIT_CONFIG = 2;

export interface ServeOptions {
  readonly config: string;
  readonly socket?: string;
  readonly adminSocket?: string;
  readonly stateDir?: string;
  readonly auditFile?: string;
}

/** Resolves when it listens, or when it has printed what is wrong. Throws StartError or ListenError. */
export async function serve(options: ServeOptions): Promise<void> {
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
  const manager = new ServiceManager(process.env, process.pid, logger);
  const daemon = await Daemon.start(checked, overrides, logger);
  const stop = (signal: NodeJS.Signals): void => {
    logger.info({ signal }, 'stopping');
    manager.stopping();
    daemon.stop().catch((error: unknown) => {
      logger.error({ err: error }, 'stopping failed');
      process.exit(1);
    });
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  logger.info(
    { version: VERSION, addresses: daemon.addresses, plugins: [...checked.plugins.keys()] },
    'listening',
  );
  manager.ready(`listening, plugins: ${[...checked.plugins.keys()].join(', ') || 'none'}`);
}
