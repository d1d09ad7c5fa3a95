#!/usr/bin/env node
import { Command } from 'commander';
import { readDeputyToml } from './config/deploy.ts';
import { countInherited, ListenError } from './listen.ts';
import { capabilitiesToKeep, layDownPrivileges } from './privilege.ts';
import { restrictReach } from './reach.ts';
import type { ServeOptions } from './serve.ts';
import { StartError } from './start-error.ts';
import { VERSION } from './version.ts';

const EXIT_START = 3;

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
3 the daemon can't start (socket, state directory, audit log, privileges).

Logs are JSON lines on standard output. Check a deploy directory without starting: deputyctl check DIR`,
    )
    .parse();
  const options = program.opts<ServeOptions>();
  // Before anything of the plugins is read. A broken deputy.toml keeps nothing beyond the least, and is reported later.
  const config = readDeputyToml(options.config);
  const keep = capabilitiesToKeep(config?.privilege.delegated_cgroups ?? false);
  const { socket, adminSocket, stateDir, auditFile } = options;
  layDownPrivileges(keep, import.meta.filename, countInherited(), () =>
    restrictReach({
      configDirectory: options.config,
      config,
      overrides: [socket, adminSocket, stateDir, auditFile],
    }),
  );
  const { serve } = await import('./serve.ts');
  await serve(options);
}

main().catch((error: unknown) => {
  if (!(error instanceof StartError || error instanceof ListenError)) throw error;
  process.stderr.write(`deputyd: ${error.message}\n`);
  process.exit(EXIT_START);
});
