import { Command } from 'commander';
import type { Grant, LedgerReply } from '../../client/admin-types.ts';
import { ADMIN_VERSION } from '../broker/admin-interface.ts';
import { type DaemonOptions, withConnection, withDaemon } from './daemon.ts';
import { describeChanges } from './describe-reply.ts';
import { printable, type Terminal } from './terminal.ts';

export function ledgerCommand(terminal: Terminal): Command {
  const command = new Command('ledger')
    .description('show what is granted at the moment, and what Release would restore (root only)')
    .addHelpText(
      'after',
      `
Example:
  deputyctl ledger --json | jq '.grants[] | select(.lease)'`,
    );
  return withDaemon(command, 'admin').action(async (options: DaemonOptions) => {
    const reply = await withConnection(terminal, 'admin', options, (connection) =>
      connection.call('io.deputy.Admin.Ledger', { version: ADMIN_VERSION }),
    );
    if (options.json === true) terminal.printJson(reply);
    else terminal.print(printable(describeGrants((reply as unknown as LedgerReply).grants)));
  });
}

/** One block a scope. */
function describeGrants(grants: readonly Grant[]): string {
  if (grants.length === 0) return 'nothing is granted';
  const scopes = [...new Set(grants.map(({ scope }) => scope))];
  return scopes
    .flatMap((scope) => [scope, ...grants.filter((grant) => grant.scope === scope).map(describeGrant)])
    .join('\n');
}

function describeGrant({ id, lease, memlock, cgroup, scheduling, affinity }: Grant): string {
  const list = <T>(change: T | undefined): T[] => (change === undefined ? [] : [change]);
  const changes = describeChanges({
    memlock: list(memlock),
    cgroup: list(cgroup),
    scheduling: list(scheduling),
    affinity: list(affinity),
  });
  return `  ${id}  ${changes.join('; ')}${lease === undefined ? '' : `  (lease of connection ${lease})`}`;
}
