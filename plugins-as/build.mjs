// Builds the plugins of this repository that are written in AssemblyScript: those that it ships, and the demo's.
// `--pin` writes their digests into the manifests beside them.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { compile } from './sdk/compile.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const PLUGINS = [
  ['examples/demo/assembly/demo.ts', 'examples/demo/plugins/demo'],
  ...['libvirt', 'kubevirt', 'realtime'].map((name) => [
    `plugins-as/${name}/policy.ts`,
    `plugins-as/${name}/${name}`,
  ]),
];

for (const [source, target] of PLUGINS) {
  const { wasm, diagnostics } = await compile(join(ROOT, source));
  if (diagnostics !== '') console.error(diagnostics);
  mkdirSync(join(ROOT, dirname(target)), { recursive: true });
  writeFileSync(join(ROOT, `${target}.wasm`), wasm);
  const manifest = join(ROOT, `${target}.toml`);
  if (!existsSync(manifest)) continue;
  const sha256 = createHash('sha256').update(wasm).digest('hex');
  const text = readFileSync(manifest, 'utf8');
  const pinned = text.replace(/^sha256 = ".*"$/m, `sha256 = "${sha256}"`);
  if (pinned === text) continue;
  if (process.argv.includes('--pin')) {
    writeFileSync(manifest, pinned);
  } else {
    // The same source and compiler give the same bytes: either has changed.
    console.error(`${target}.toml pins another digest than ${sha256}: node plugins-as/build.mjs --pin`);
    process.exitCode = 1;
  }
}
