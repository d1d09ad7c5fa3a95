import { Command } from 'commander';
import { type CheckedDeploy, checkDeployDirectory } from '../config/check.ts';
import { formatProblem } from '../config/problem.ts';
import { withJson } from './daemon.ts';
import { count } from './describe-reply.ts';
import { EXIT } from './exit-code.ts';
import { printable, type Terminal } from './terminal.ts';

export function checkCommand(terminal: Terminal): Command {
  const command = new Command('check')
    .description('check a deploy directory: every problem, with file, line and remedy')
    .argument('[dir]', 'deploy directory', '/etc/deputy')
    .addHelpText(
      'after',
      `
Reads deputy.toml and plugins/, loads each plugin and calls its init, as the daemon does at its start. Needs no daemon
and changes nothing. Exits with 2 where there is a problem.

Examples:
  deputyctl check /etc/deputy
  deputyctl check --json ./deploy | jq '.problems[].message'`,
    );
  return withJson(command).action(async (directory: string, { json }: { json?: boolean }) => {
    const { checked, problems } = await checkDeployDirectory(directory);
    if (checked === undefined) terminal.exitCode = EXIT.usage;
    if (json === true) {
      terminal.printJson({ directory, ok: checked !== undefined, problems });
      return;
    }
    for (const problem of problems) terminal.print(printable(formatProblem(problem)));
    terminal.print(
      checked === undefined
        ? `${directory}: ${count(problems.length, 'problem')}`
        : summary(directory, checked),
    );
  });
}

function summary(directory: string, { plugins, chains }: CheckedDeploy): string {
  const bound = Object.entries(chains).map(([operation, links]) => {
    const names = links.map(({ plugin, mode }) =>
      mode === 'monitor' ? `${plugin.name} (monitor)` : plugin.name,
    );
    return `  ${operation.padEnd(13)}  ${names.join(', then ') || 'no plugin: always denied'}`;
  });
  return [`${directory}: good, ${count(plugins.size, 'plugin')}`, ...bound].join('\n');
}
