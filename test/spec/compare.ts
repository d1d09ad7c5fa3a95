import { type End, Side } from './side.ts';
import { type Command, readScript } from './wast.ts';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Report {
  /** By kind of command. */
  readonly counts: Map<string, Counts>;
  readonly failures: string[];
  readonly skips: Map<string, number>;
}

/** What V8 says where the suite expects one of its own texts. */
const TRAPS: readonly (readonly [suite: RegExp, engine: RegExp])[] = [
  [/^out of bounds memory access/, /memory access out of bounds|data segment .*out of bounds/],
  [/^out of bounds table access/, /table index is out of bounds|table .*out of bounds|element segment/],
  [/^undefined element/, /table index is out of bounds/],
  [/^uninitialized element/, /null function|signature mismatch|table index is out of bounds/],
  [/^indirect call type mismatch/, /signature mismatch/],
  [/^integer divide by zero/, /divide by zero|remainder by zero/],
  [/^integer overflow/, /divide result unrepresentable|float unrepresentable/],
  [/^invalid conversion to integer/, /float unrepresentable/],
  [/^unreachable/, /^unreachable$/],
  [/^undefined$/, /table index is out of bounds/],
];

/** Runs a script on both sides. Each command must end as the suite says, and in the same way on both. */
export async function compareScript(file: string, source: Buffer, report: Report): Promise<void> {
  const plain = new Side(false);
  const metered = new Side(true);
  for (const command of await readScript(source)) {
    const counts = report.counts.get(command.kind) ?? { passed: 0, failed: 0, skipped: 0 };
    report.counts.set(command.kind, counts);
    const verdict = run(command, plain, metered);
    if (verdict === undefined) {
      counts.passed++;
    } else if ('skip' in verdict) {
      counts.skipped++;
      report.skips.set(verdict.skip, (report.skips.get(verdict.skip) ?? 0) + 1);
    } else {
      counts.failed++;
      report.failures.push(`${file}:${command.line}: ${command.kind}: ${verdict.why}`);
    }
  }
}

type Verdict = undefined | { readonly skip: string } | { readonly why: string };

function run(command: Command, plain: Side, metered: Side): Verdict {
  try {
    return judge(command, plain, metered);
  } catch (error) {
    return { why: error instanceof Error ? error.message : String(error) };
  }
}

function judge(command: Command, plain: Side, metered: Side): Verdict {
  const both = (act: (side: Side) => End): readonly [End, End] => [act(plain), act(metered)];
  switch (command.kind) {
    case 'module': {
      const { module, name } = command;
      if ('malformed' in module)
        return { skip: `the assembler doesn't take it: ${firstLine(module.malformed)}` };
      return expectDone(both((side) => side.instantiate(module, name)));
    }
    case 'register':
      plain.register(command.as, command.name);
      metered.register(command.as, command.name);
      return undefined;
    case 'action':
      return expectDone(both((side) => side.act(command.action, undefined)));
    case 'return':
      return expectDone(both((side) => side.act(command.action, command.expected)));
    case 'trap':
      return expectTrap(
        both((side) => side.act(command.action, undefined)),
        command.text,
      );
    case 'exhaustion':
      return expectKind(
        both((side) => side.act(command.action, undefined)),
        'exhaustion',
      );
    case 'trap-module':
      return expectTrap(
        both((side) => side.instantiate(command.module, undefined)),
        command.text,
      );
    case 'unlinkable':
      return expectKind(
        both((side) => side.instantiate(command.module, undefined)),
        'unlinkable',
      );
    case 'invalid':
    case 'malformed': {
      const { module } = command;
      if (module === 'text') return { skip: 'malformed text: a matter of the assembler, not of an engine' };
      const [alone, meter] = both((side) => side.instantiate(module, undefined));
      // The engine knows more features than the suite of this version: then what it makes valid, the meter may refuse.
      if (alone.kind === 'done' || alone.kind === 'unlinkable' || alone.kind === 'trap') {
        if (meter.kind === 'refused' || meter.kind === 'invalid') return undefined;
        return meter.kind === alone.kind
          ? { skip: `the engine takes it: ${command.text}` }
          : differ(alone, meter);
      }
      return meter.kind === 'invalid' || meter.kind === 'refused' ? undefined : differ(alone, meter);
    }
    case 'unknown':
      return { skip: `${command.head} is not known here` };
  }
}

function expectDone([plain, metered]: readonly [End, End]): Verdict {
  if (plain.kind !== 'done') return { why: `plain ends as ${describe(plain)}` };
  if (plain.mismatch !== undefined) return { why: `plain: ${plain.mismatch}` };
  if (metered.kind !== 'done' || metered.mismatch !== undefined) return differ(plain, metered);
  return undefined;
}

function expectTrap([plain, metered]: readonly [End, End], text: string): Verdict {
  const engine = TRAPS.find(([suite]) => suite.test(text))?.[1];
  if (plain.kind !== 'trap' || engine === undefined || !engine.test(plain.text)) {
    return { why: `"${text}" expected, plain ends as ${describe(plain)}` };
  }
  // Instantiation names the segment's offset in the module, which has moved.
  const same =
    metered.kind === 'trap' && metered.text.replace(/ @\+\d+/, '') === plain.text.replace(/ @\+\d+/, '');
  return same ? undefined : differ(plain, metered);
}

function expectKind([plain, metered]: readonly [End, End], kind: End['kind']): Verdict {
  if (plain.kind !== kind) return { why: `plain ends as ${describe(plain)}` };
  return metered.kind === kind ? undefined : differ(plain, metered);
}

function differ(plain: End, metered: End): Verdict {
  return { why: `plain ends as ${describe(plain)}, metered as ${describe(metered)}` };
}

function describe(end: End): string {
  return end.kind === 'done' ? (end.mismatch ?? 'done') : `${end.kind}: ${end.text}`;
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
