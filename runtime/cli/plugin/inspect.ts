import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Command } from 'commander';
import { limitsOf, readToml } from '../../config/deploy.ts';
import { manifest } from '../../config/manifest.ts';
import { readOwnFile } from '../../config/read-file.ts';
import { Guest } from '../../sandbox/abi/guest.ts';
import { outline } from '../../sandbox/component/sections.ts';
import { hostFunctions } from '../../sandbox/imports.ts';
import { linkProblems } from '../../sandbox/link.ts';
import { meterModule } from '../../sandbox/meter/meter.ts';
import { PolicyHost } from '../../sandbox/policy-host.ts';
import { prepareModule } from '../../sandbox/prepare.ts';
import { atByte, DEFAULT_LIMITS, SandboxError, type SandboxLimits } from '../../sandbox/seam.ts';
import { EXIT, Failure } from '../exit-code.ts';
import { printable, type Terminal } from '../terminal.ts';

export function inspectCommand(terminal: Terminal): Command {
  return new Command('inspect')
    .description('what is in a module, what it costs, and what would be refused')
    .argument('<wasm>', 'a core module or a component')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Runs nothing of the module. The limits are those of the manifest beside it, or the default ones. Exits with 1 where the
daemon would refuse the module, with the byte where the reason stands.

Example:
  deputyctl plugin inspect /etc/deputy/plugins/libvirt.wasm`,
    )
    .action((file: string, { json }: { json?: boolean }) => {
      const found = inspect(file);
      if (found.problems.length > 0) terminal.exitCode = EXIT.refused;
      if (json === true) terminal.printJson(found);
      else terminal.print(printable(describe(file, found)));
    });
}

interface Inspected {
  readonly kind: 'core' | 'component';
  readonly bytes: number;
  readonly sha256: string;
  readonly limits: SandboxLimits;
  readonly problems: readonly { readonly message: string; readonly offset: number | undefined }[];
  readonly shape?: Shape;
  readonly component?: {
    readonly coreModules: readonly number[];
    readonly imports: readonly string[];
    readonly exports: readonly string[];
  };
}

interface Shape {
  readonly features: readonly { readonly name: string; readonly offset: number }[];
  readonly sizes: Readonly<Record<string, number>>;
  readonly memory: string;
  readonly imports: readonly string[];
  readonly exports: readonly string[];
  readonly customSections: readonly string[];
  /** Whether `init` runs again after each decision: the state is more than memory and globals. */
  readonly replay: boolean;
  readonly meteredBytes: number;
  /** Fuel of an exported function if no branch is taken and nothing is called. */
  readonly straight: readonly { readonly name: string; readonly fuel: number }[];
}

function inspect(file: string): Inspected {
  let wasm: Buffer;
  try {
    wasm = readFileSync(file);
  } catch (error) {
    throw new Failure(EXIT.usage, `${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
  const isComponent = wasm.subarray(0, 4).equals(Buffer.from('\0asm')) && wasm[6] === 1 && wasm[7] === 0;
  const limits = limitsFor(file);
  const facts = {
    kind: isComponent ? 'component' : 'core',
    bytes: wasm.length,
    sha256: createHash('sha256').update(wasm).digest('hex'),
    limits,
  } as const;
  const problems: { message: string; offset: number | undefined }[] = [];
  if (wasm.length > limits.moduleBytes) {
    problems.push({
      message: `${wasm.length} bytes, the limit is ${limits.moduleBytes}`,
      offset: undefined,
    });
  }
  try {
    if (isComponent) return { ...facts, component: inspectComponent(wasm, limits), problems };
    const { shape, found } = inspectCore(wasm, limits, basename(file));
    problems.push(...found);
    return { ...facts, shape, problems };
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    problems.push({ message: error.message, offset: error.offset });
    return { ...facts, problems };
  }
}

function limitsFor(file: string): SandboxLimits {
  const beside = file.replace(/\.wasm$/, '.toml');
  if (beside === file || !existsSync(beside)) return DEFAULT_LIMITS;
  const read = readToml(beside, manifest, [], readOwnFile);
  return read === undefined ? DEFAULT_LIMITS : limitsOf(read.value);
}

function inspectComponent(wasm: Uint8Array, limits: SandboxLimits): NonNullable<Inspected['component']> {
  const { coreModules, imports, exports } = outline(wasm, 'component');
  for (const module of coreModules) prepareModule(module, limits);
  return { coreModules: coreModules.map((module) => module.length), imports, exports };
}

function inspectCore(wasm: Uint8Array, limits: SandboxLimits, name: string) {
  const metered = meterModule(wasm, limits);
  const { shape } = metered;
  const guest = new Guest();
  const host = hostFunctions(guest, new PolicyHost(guest, limits.logBytes));
  const found = linkProblems(name, prepareModule(wasm, limits), host).map(({ message, offset }) => ({
    message: message.replace(`${name}: `, ''),
    offset,
  }));
  const [memory] = shape.memories;
  const described: Shape = {
    features: [...shape.features].map(([feature, offset]) => ({ name: feature, offset })),
    sizes: {
      types: shape.types.length,
      functions: shape.bodies.length,
      globals: shape.globals.length,
      tables: shape.tables.length,
      elements: shape.elementSegments.reduce((sum, one) => sum + one, 0),
      dataBytes: shape.dataSegments.reduce((sum, one) => sum + one, 0),
      largestFunctionBytes: shape.bodies.reduce((most, { from, to }) => Math.max(most, to - from), 0),
    },
    memory:
      memory === undefined
        ? 'none'
        : `${memory.initial} pages, grows to ${Math.min(memory.maximum ?? limits.memoryPages, limits.memoryPages)}`,
    imports: shape.imports.map(({ module, name: field, kind }) => `${kind} ${module} ${field}`),
    exports: shape.exports.map(({ name: field, kind }) => `${kind} ${field}`),
    customSections: shape.sections.flatMap(({ name: section }) => section ?? []),
    replay: metered.replay,
    meteredBytes: metered.wasm.length,
    straight: shape.exports.flatMap(({ name: field, kind, index }) => {
      const fuel = metered.straight[index - shape.importedFunctions];
      return kind === 'function' && fuel !== undefined ? [{ name: field, fuel }] : [];
    }),
  };
  return { shape: described, found };
}

function describe(
  file: string,
  { kind, bytes, sha256, limits, problems, shape, component }: Inspected,
): string {
  const list = (title: string, items: readonly string[]): string[] => [
    `${title}${items.length === 0 ? ' none' : ''}`,
    ...items.map((item) => `  ${item}`),
  ];
  const lines = [
    `${file}: ${kind === 'core' ? 'core module' : 'component'}, ${bytes} bytes`,
    `sha256 ${sha256}`,
    `limits fuel ${limits.fuel}, ${limits.memoryPages} pages, ${limits.tableElements} table elements, call depth ${limits.callDepth}, ${limits.moduleBytes} bytes`,
  ];
  if (component !== undefined) {
    lines.push(
      `core modules of ${component.coreModules.join(', ')} bytes`,
      ...list('imports', component.imports),
      ...list('exports', component.exports),
    );
  }
  if (shape !== undefined) {
    lines.push(
      `metered ${shape.meteredBytes} bytes (${(shape.meteredBytes / bytes).toFixed(2)} ×)`,
      `memory ${shape.memory}`,
      `sizes ${Object.entries(shape.sizes)
        .map(([name, size]) => `${name} ${size}`)
        .join(', ')}`,
      `reset ${shape.replay ? 'by a new instance and init' : 'from a snapshot of memory and globals'}`,
      ...list(
        'features',
        shape.features.map(({ name, offset }) => `${name}, first at byte ${offset}`),
      ),
      ...list('custom sections', shape.customSections),
      ...list('imports', shape.imports),
      ...list('exports', shape.exports),
      ...list(
        'fuel of the straight path (no branch taken, nothing called)',
        shape.straight.map(({ name, fuel }) => `${fuel}  ${name}`),
      ),
    );
  }
  lines.push(
    problems.length === 0
      ? 'the daemon would load it'
      : `the daemon would refuse it:\n${problems.map((problem) => `  ${atByte(problem)}`).join('\n')}`,
  );
  return lines.join('\n');
}
