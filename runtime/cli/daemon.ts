/** The options and the connection that commands share which talk to the daemon. */
import type { Command } from 'commander';
import { Connection } from '../../client/connection.ts';
import type { Terminal } from './terminal.ts';

export interface DaemonOptions {
  readonly socket?: string;
  readonly timeout?: string;
  readonly json?: boolean;
}

export type Role = 'broker' | 'admin';

const ADDRESSES = {
  broker: { variable: 'DEPUTY_SOCKET', path: '/run/deputy/deputy.sock' },
  admin: { variable: 'DEPUTY_ADMIN_SOCKET', path: '/run/deputy/admin.sock' },
} as const;

/** Adds --socket, --timeout and --json. */
export function withDaemon(command: Command, role: Role): Command {
  const { variable, path } = ADDRESSES[role];
  return withJson(command)
    .option('--socket <path>', `the daemon's ${role} socket (else ${variable}, else ${path})`)
    .option('--timeout <seconds>', 'how long to wait for an answer', '30');
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON, with exact integers');
}

/** Connects, runs and closes. Throws ConnectionError where no daemon answers. */
export async function withConnection<T>(
  terminal: Terminal,
  role: Role,
  options: DaemonOptions,
  run: (connection: Connection) => Promise<T>,
): Promise<T> {
  const { variable, path } = ADDRESSES[role];
  const address = options.socket ?? (terminal.env[variable] || path);
  const connection = await Connection.open(address, { timeoutMs: Number(options.timeout ?? 30) * 1000 });
  try {
    return await run(connection);
  } finally {
    connection.close();
  }
}
