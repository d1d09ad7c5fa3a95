import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { describeEffect } from '../../broker/write-outcome.ts';
import { FAULTS } from '../../sandbox/seam.ts';
import { EXIT, Failure } from '../exit-code.ts';
import { printable, type Terminal } from '../terminal.ts';
import { DEFAULT_FACTS } from './case-values.ts';
import { readCases, readSnippets } from './cases.ts';
import { loadProject, openProject, readManifest } from './project.ts';

interface RunOptions {
  readonly case?: string;
  readonly request?: string;
  readonly facts: readonly string[];
  readonly json?: boolean;
}

export function runCommand(terminal: Terminal): Command {
  return new Command('run')
    .description('make one decision offline, and show how it came about')
    .argument('[path]', 'folder of the plugin, or its .wasm', '.')
    .option('--case <name>', 'a case of cases.toml')
    .option('--request <toml>', 'a request, in the form of cases.toml')
    .option(
      '--facts <toml>',
      'facts that differ from [facts] of cases.toml; may be repeated',
      (value: string, before: string[]) => [...before, value],
      [],
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Exits with 0 for an allow, with 1 for a denial, a pass or a fault (${FAULTS.join(', ')}).

Examples:
  deputyctl plugin run my-policy --case "another user"
  deputyctl plugin run libvirt.wasm --request 'set_memlock = { hard = "4 GiB" }' --facts 'subject.uid = 107'`,
    )
    .action(async (path: string, options: RunOptions) => {
      const project = openProject(path);
      const { plugin, ceilings, fuelLimit } = await loadProject(project, readManifest(project));
      const cases = existsSync(project.casesFile) ? readCases(project.casesFile) : undefined;
      const { operation, facts } = asked(options, cases);
      const groups = new Set(cases?.groups ?? ceilings.cgroup?.groups ?? []);
      const decision = plugin.decide({ facts, operation, ceilings, groups });
      if (decision.verdict.tag !== 'allow') terminal.exitCode = EXIT.refused;
      if (options.json === true) {
        terminal.printJson({ operation, facts, ...decision });
        return;
      }
      const { verdict, fault, factsRead, log, refusals, effects, fuelUsed } = decision;
      terminal.print(
        printable(
          [
            verdict.tag === 'deny' ? `deny: ${verdict.val}` : verdict.tag,
            ...(fault === undefined ? [] : [`  fault: ${fault.kind}: ${fault.message}`]),
            `  read: ${factsRead.join(', ') || 'nothing'}`,
            ...log.map(({ level, message }) => `  log ${level}: ${message}`),
            ...refusals.map(({ code, message }) => `  refused, ${code}: ${message}`),
            ...effects.map((effect) => `  staged: ${describeEffect(effect)}`),
            `  fuel: ${fuelUsed} of ${fuelLimit}`,
          ].join('\n'),
        ),
      );
    });
}

function asked(options: RunOptions, cases: ReturnType<typeof readCases> | undefined) {
  if ((options.case === undefined) === (options.request === undefined)) {
    throw new Failure(EXIT.usage, 'either --case or --request is needed');
  }
  if (options.request !== undefined) {
    return readSnippets(options.request, options.facts, cases?.facts ?? DEFAULT_FACTS);
  }
  const found = cases?.cases.find(({ name }) => name === options.case);
  if (found === undefined) {
    throw new Failure(
      EXIT.usage,
      `there is no case ${JSON.stringify(options.case)}; there are: ${cases?.cases.map(({ name }) => name).join(', ') ?? 'none, for want of a cases.toml'}`,
    );
  }
  return found;
}
