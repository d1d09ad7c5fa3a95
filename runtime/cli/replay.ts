import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { Command } from 'commander';
import { stringify } from 'lossless-json';
import type { Operation } from '../../host-api/contract.ts';
import { formatLimit } from '../../host-api/limit.ts';
import { type Recorded, readRecorded } from '../audit/recorded.ts';
import { auditFiles, auditLines } from '../audit/verify.ts';
import { describeEffect } from '../broker/write-outcome.ts';
import { readDeputyToml } from '../config/deploy.ts';
import type { Decision } from '../sandbox/seam.ts';
import { EXIT, Failure } from './exit-code.ts';
import { type Loaded, loadProject, openProject, readManifest } from './plugin/project.ts';
import { printable, type Terminal } from './terminal.ts';

interface ReplayOptions {
  readonly plugin: string;
  readonly as?: string;
  readonly config?: string;
  readonly reasons?: boolean;
  readonly json?: boolean;
}

export function replayCommand(terminal: Terminal): Command {
  return new Command('replay')
    .description('decide recorded requests anew by another plugin, and show what would change')
    .argument('<audit>', 'an audit log; its rotated files are read too')
    .requiredOption('--plugin <wasm>', 'the new plugin, with its manifest NAME.toml beside it')
    .option('--as <name>', "compare with this plugin's recorded decisions (else the one of the same name)")
    .option(
      '--config <dir>',
      'take the cgroup groups from this deploy directory (else all that were asked for)',
    )
    .option('--reasons', 'count another reason for the same denial as a difference')
    .option('--json', 'print JSON, with exact integers')
    .addHelpText(
      'after',
      `
Nothing is applied, and no daemon is needed: a record holds the facts that the decision was made from. Where no plugin of
the name took part, the new one is compared with whichever decided. Requests that were refused before a plugin was asked
are left out, and counted. Exits with 1 where something would change.

Example:
  deputyctl replay /var/log/deputy/audit.jsonl --plugin ./libvirt.wasm`,
    )
    .action(async (audit: string, options: ReplayOptions) => {
      const files = auditFiles(audit);
      if (files.length === 0) throw new Failure(EXIT.usage, `there is no audit log ${audit}`);
      const project = openProject(options.plugin);
      const loaded = await loadProject(project, readManifest(project));
      const replay = new Replay(
        loaded,
        options.as ?? project.name,
        groupsOf(options.config),
        options.reasons,
      );
      for await (const { file, line, text } of auditLines(files)) {
        let record: Recorded;
        try {
          record = readRecorded(text);
        } catch (error) {
          replay.unreadable++;
          terminal.complain(`deputyctl: ${file}:${line}: ${printable((error as Error).message)}`);
          continue;
        }
        replay.decide(record);
      }
      if (replay.differences.length > 0) terminal.exitCode = EXIT.refused;
      if (options.json === true) terminal.printJson(replay.json());
      else terminal.print(printable(replay.describe(basename(options.plugin))));
    });
}

function groupsOf(directory: string | undefined): ReadonlySet<string> | undefined {
  if (directory === undefined) return undefined;
  const config = existsSync(directory) ? readDeputyToml(directory) : undefined;
  if (config === undefined) {
    throw new Failure(
      EXIT.usage,
      `${directory} has no deputy.toml that can be read: run deputyctl check ${directory}`,
    );
  }
  return new Set(Object.keys(config.group));
}

interface Outcome {
  readonly verdict: string;
  readonly reason: string | undefined;
  readonly effects: readonly string[];
}

type Change = 'newly allowed' | 'newly denied' | 'other effects' | 'other verdict' | 'other reason';

interface Difference {
  readonly seq: number;
  readonly change: Change;
  readonly uid: number;
  readonly scope: string;
  readonly asked: string;
  readonly before: Outcome;
  readonly after: Outcome;
}

class Replay {
  readonly differences: Difference[] = [];
  replayed = 0;
  /** Not requests, or refused before a plugin was asked. */
  skipped = 0;
  unreadable = 0;
  faults = 0;
  readonly #fuel: bigint[] = [];
  readonly #loaded: Loaded;
  readonly #name: string;
  readonly #groups: ReadonlySet<string> | undefined;
  readonly #reasons: boolean;

  constructor(loaded: Loaded, name: string, groups: ReadonlySet<string> | undefined, reasons = false) {
    this.#loaded = loaded;
    this.#name = name;
    this.#groups = groups;
    this.#reasons = reasons;
  }

  decide(record: Recorded): void {
    const { seq, operation, facts } = record;
    const before = this.#before(record);
    if (operation === undefined || facts === undefined || before === undefined) {
      this.skipped++;
      return;
    }
    this.replayed++;
    const { plugin, ceilings } = this.#loaded;
    const asked = operation.tag === 'move-cgroup' ? [operation.val.group] : [];
    const groups = this.#groups ?? new Set([...(ceilings.cgroup?.groups ?? []), ...asked]);
    const decision = plugin.decide({ facts, operation, ceilings, groups });
    this.#fuel.push(decision.fuelUsed);
    if (decision.fault !== undefined) this.faults++;
    const after = outcomeOf(decision);
    const change = compare(before, after, this.#reasons);
    if (change === undefined) return;
    const { uid, scope } = facts.subject;
    this.differences.push({ seq, change, uid, scope, asked: describeOperation(operation), before, after });
  }

  /** What was decided then: by the plugin of the name, else by whichever decided. */
  #before({ steps, plugin }: Recorded): Outcome | undefined {
    if (steps === undefined) return undefined;
    const own =
      steps.find((step) => step.plugin === this.#name) ?? steps.find((step) => step.plugin === plugin);
    if (own === undefined) return { verdict: 'deny', reason: 'no plugin decided it', effects: [] };
    return { verdict: own.verdict, reason: own.reason, effects: own.effects.map(describeEffect) };
  }

  json() {
    const { replayed, skipped, unreadable, faults, differences } = this;
    return { replayed, skipped, unreadable, faults, fuel: this.#fuelUse(), differences };
  }

  describe(plugin: string): string {
    const blocks = new Map<string, Difference[]>();
    for (const difference of this.differences) {
      const { change, before, after } = difference;
      const title = `${change}: ${describe(before)} → ${describe(after)}`;
      blocks.set(title, [...(blocks.get(title) ?? []), difference]);
    }
    const lines = [...blocks].flatMap(([title, those]) => [
      `${those.length} × ${title}`,
      ...those
        .slice(0, EXAMPLES)
        .map(({ seq, uid, scope, asked }) => `    record ${seq}: uid ${uid} in ${scope}: ${asked}`),
      ...(those.length > EXAMPLES ? [`    and ${those.length - EXAMPLES} more`] : []),
    ]);
    const number = (change: Change): number => this.differences.filter((one) => one.change === change).length;
    const { median, max, limit } = this.#fuelUse();
    return [
      ...lines,
      ...(lines.length === 0 ? [] : ['']),
      `${this.replayed} requests decided anew by ${plugin}: ${this.replayed - this.differences.length} the same, ` +
        `${number('newly allowed')} newly allowed, ${number('newly denied')} newly denied, ` +
        `${number('other effects')} with other effects, ${number('other verdict') + number('other reason')} otherwise different`,
      `${this.skipped} records left out: events, or refused before a plugin was asked${this.unreadable === 0 ? '' : `; ${this.unreadable} unreadable`}`,
      `${this.faults} faults; fuel ${median} in the median, ${max} at most, of ${limit}`,
    ].join('\n');
  }

  #fuelUse(): { median: bigint; max: bigint; limit: bigint } {
    const sorted = [...this.#fuel].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    return {
      median: sorted[sorted.length >> 1] ?? 0n,
      max: sorted.at(-1) ?? 0n,
      limit: this.#loaded.fuelLimit,
    };
  }
}

const EXAMPLES = 3;

function outcomeOf({ verdict, effects, fault, refusals }: Decision): Outcome {
  if (fault !== undefined) return { verdict: 'deny', reason: `fault: ${fault.message}`, effects: [] };
  // As the chain takes it: an allow that stages nothing grants nothing.
  if (verdict.tag === 'allow' && effects.length === 0) {
    return { verdict: 'deny', reason: refusals.at(-1)?.message ?? 'allowed without an effect', effects: [] };
  }
  return {
    verdict: verdict.tag,
    reason: verdict.tag === 'deny' ? verdict.val : undefined,
    effects: effects.map(describeEffect),
  };
}

function compare(before: Outcome, after: Outcome, reasons: boolean): Change | undefined {
  if (before.verdict !== after.verdict) {
    if (after.verdict === 'allow') return 'newly allowed';
    return before.verdict === 'allow' ? 'newly denied' : 'other verdict';
  }
  if (before.verdict === 'allow' && stringify(before.effects) !== stringify(after.effects))
    return 'other effects';
  return reasons && before.reason !== after.reason ? 'other reason' : undefined;
}

function describe({ verdict, reason, effects }: Outcome): string {
  if (verdict === 'allow') return `allow (${effects.join('; ')})`;
  return reason === undefined ? verdict : `${verdict} (${reason})`;
}

function describeOperation(operation: Operation): string {
  switch (operation.tag) {
    case 'set-memlock':
      return `memlock ${formatLimit(operation.val.hard)}`;
    case 'move-cgroup':
      return `group ${operation.val.group}`;
    case 'set-scheduler':
      return describeEffect({ tag: 'set-scheduler', threads: { tag: 'addressed' }, change: operation.val });
  }
}
