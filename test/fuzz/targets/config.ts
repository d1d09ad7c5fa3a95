/** Deploy directories that are almost right: every problem has a file and a remedy, and nothing is thrown. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { checkDeployDirectory } from '../../../runtime/config/check.ts';
import { assembleFile } from '../../runtime/sandbox/wat.ts';
import { mutated } from '../mutate.ts';
import { demand, type Target } from '../target.ts';

const DEMO = new URL('../../../examples/demo/', import.meta.url);
const SNIPPETS = [
  '"',
  "'''",
  '[',
  ']',
  '{',
  '=',
  '\n',
  '[[scope]]\n',
  'limits.fuel = 1\n',
  '1_000',
  '0x',
  '1979-05-27',
  'inf',
  '\\u0000',
  '\u0000',
  '{a:number}',
  '*',
  '/..',
  '64 EiB',
];

export function open(): Target {
  const folder = mkdtempSync(join(tmpdir(), 'deputy-fuzz-'));
  mkdirSync(join(folder, 'plugins'));
  writeFileSync(
    join(folder, 'plugins/demo.wasm'),
    assembleFile(new URL('../../runtime/sandbox/policy.wat', import.meta.url)),
  );
  const [config, manifest] = ['deputy.toml', 'plugins/demo.toml'].map((name) =>
    readFileSync(new URL(name, DEMO)),
  );
  const snippets = SNIPPETS.map((text) => Buffer.from(text));
  if (config === undefined || manifest === undefined) throw new Error('the demo has no deploy directory');
  return {
    name: 'config',
    // A line of NULs parts the two files.
    inputs: fc
      .tuple(mutated([config], snippets), mutated([manifest], snippets), fc.nat(2))
      .map(([one, other, which]) =>
        Buffer.concat([
          which === 0 ? config : one,
          Buffer.from('\n\0\0\0\n'),
          which === 1 ? manifest : other,
        ]),
      ),
    async check(bytes) {
      const text = Buffer.from(bytes);
      const at = text.indexOf('\n\0\0\0\n');
      writeFileSync(join(folder, 'deputy.toml'), text.subarray(0, at));
      writeFileSync(join(folder, 'plugins/demo.toml'), text.subarray(at + 5));
      const { checked, problems } = await checkDeployDirectory(folder);
      demand((checked === undefined) === problems.length > 0, 'neither good nor bad');
      for (const { file, line, message, remedy } of problems) {
        demand(file.startsWith(folder), `a problem in ${file}`);
        demand(message !== '' && remedy !== '', 'a problem without a message or a remedy');
        demand(line === undefined || line >= 1, `line ${line}`);
      }
    },
    close: () => rmSync(folder, { recursive: true }),
  };
}
