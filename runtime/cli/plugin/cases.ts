/** cases.toml: what a policy is asked and must answer. */
import * as v from 'valibot';
import type { Effect, Facts, Operation } from '../../../host-api/contract.ts';
import { checkToml, readToml } from '../../config/deploy.ts';
import type { Problem } from '../../config/problem.ts';
import { readOwnFile } from '../../config/read-file.ts';
import { parseToml } from '../../config/toml.ts';
import { integer } from '../../config/values.ts';
import { FAULTS } from '../../sandbox/seam.ts';
import { DEFAULT_FACTS, effect, facts, factsOver, operationOf, request } from './case-values.ts';
import { failed } from './project.ts';

const text = v.string('must be a text');

const expectation = v.strictObject({
  verdict: v.picklist(['allow', 'deny', 'pass'], 'must be "allow", "deny" or "pass"'),
  /** A part of the reason of a denial. */
  reason: v.optional(text),
  /** All of them, in order; absent: not compared. */
  effects: v.optional(v.array(effect)),
  fault: v.optional(v.picklist(FAULTS, `must be one of ${FAULTS.join(', ')}`)),
  max_fuel: v.optional(integer(1, 10_000_000_000)),
});

const file = v.strictObject({
  facts: v.optional(facts, {}),
  /** Names of cgroup groups that deputy.toml would define; absent: those of the ceiling. */
  groups: v.optional(v.array(text)),
  case: v.optional(
    v.array(
      v.strictObject({ name: text, facts: v.optional(facts, {}), ...request, expect: expectation }),
      'must be [[case]] tables',
    ),
    [],
  ),
});

export interface Case {
  readonly name: string;
  /** "cases.toml:12" */
  readonly place: string;
  readonly facts: Facts;
  readonly operation: Operation;
  readonly expect: {
    readonly verdict: 'allow' | 'deny' | 'pass';
    readonly reason?: string | undefined;
    readonly effects?: readonly Effect[] | undefined;
    readonly fault?: string | undefined;
    readonly max_fuel?: number | undefined;
  };
}

export interface Cases {
  readonly cases: readonly Case[];
  readonly groups: readonly string[] | undefined;
  /** [facts], with the defaults beneath. */
  readonly facts: Facts;
}

/** Throws Failure with every problem, each with its line. */
export function readCases(path: string): Cases {
  const problems: Problem[] = [];
  const read = readToml(path, file, problems, readOwnFile);
  if (read === undefined) throw failed(problems);
  const { value, document } = read;
  const base = factsOver(DEFAULT_FACTS, value.facts);
  const names = new Set<string>();
  const cases = value.case.flatMap((one, index): Case[] => {
    const at = ['case', index] as const;
    const operation = operationOf(one);
    if (operation === undefined) {
      problems.push(
        document.problem(
          at,
          `case ${JSON.stringify(one.name)} must ask for exactly one thing`,
          'give it one of set_memlock, move_cgroup and set_scheduler',
        ),
      );
      return [];
    }
    if (names.has(one.name)) {
      problems.push(
        document.problem(at, `two cases have the name ${JSON.stringify(one.name)}`, 'rename one of them'),
      );
    }
    names.add(one.name);
    return [
      {
        name: one.name,
        place: document.placeOf(at),
        facts: factsOver(base, one.facts),
        operation,
        expect: one.expect,
      },
    ];
  });
  if (cases.length === 0 && problems.length === 0) {
    problems.push(
      document.problem([], 'there is no case', 'add a [[case]]: a test without one proves nothing'),
    );
  }
  if (problems.length > 0) throw failed(problems);
  return { cases, groups: value.groups, facts: base };
}

/** A request or facts from the command line, in the TOML of cases. Throws Failure. */
export function readSnippets(
  asked: string,
  over: readonly string[],
  base: Facts,
): { operation: Operation; facts: Facts } {
  const parsed = snippet('--request', asked, v.strictObject(request));
  const operation = operationOf(parsed);
  if (operation === undefined) {
    throw failed([
      {
        file: '--request',
        line: undefined,
        column: undefined,
        message: 'must ask for exactly one thing',
        remedy: 'for example: --request \'set_memlock = { hard = "1 GiB" }\'',
      },
    ]);
  }
  return { operation, facts: factsOver(base, snippet('--facts', over.join('\n'), facts)) };
}

function snippet<S extends v.GenericSchema>(option: string, toml: string, schema: S): v.InferOutput<S> {
  const problems: Problem[] = [];
  const document = parseToml(option, toml);
  if ('message' in document) throw failed([document]);
  const checked = checkToml(document, schema, problems);
  if (checked === undefined) throw failed(problems);
  return checked.value;
}
