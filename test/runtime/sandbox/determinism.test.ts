import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Operation } from '../../../host-api/contract.ts';
import { compile } from '../../../plugins-as/sdk/compile.mjs';
import { loadPlugin } from '../../../runtime/sandbox/plugin.ts';
import { DEFAULT_LIMITS } from '../../../runtime/sandbox/seam.ts';
import { bytes, FACTS, input, SET_MEMLOCK } from './inputs.ts';

const FOLDER = new URL('../../../examples/demo/', import.meta.url);
const SETTINGS = '{"max_memlock":"1 GiB","max_priority":10,"uids":[1000]}';
const OPERATIONS: readonly (readonly [name: string, operation: Operation])[] = [
  ['set-memlock', SET_MEMLOCK],
  ['set-memlock, denied', { tag: 'set-memlock', val: { soft: bytes(1n << 40n), hard: bytes(1n << 40n) } }],
  ['move-cgroup', { tag: 'move-cgroup', val: { group: 'vcpu' } }],
  [
    'set-scheduler',
    { tag: 'set-scheduler', val: { policy: 'fifo', priority: 5, nice: undefined, affinity: [0, 1] } },
  ],
];

describe('the same request with the same facts', () => {
  it('burns the same fuel in thousands of calls, before the engine optimises and after, on every Node', async () => {
    const { wasm } = await compile(new URL('assembly/demo.ts', FOLDER).pathname);
    const pinned = /^sha256 = "(\w+)"$/m.exec(
      readFileSync(new URL('plugins/demo.toml', FOLDER), 'utf8'),
    )?.[1];
    const load = () => loadPlugin({ name: 'demo', wasm, limits: DEFAULT_LIMITS, settings: SETTINGS });
    const plugin = await load();
    expect(plugin.sha256).toBe(pinned);
    const used: Record<string, bigint> = {};
    for (const [name, operation] of OPERATIONS) {
      const first = plugin.decide(input(operation));
      expect(first.fault).toBeUndefined();
      used[name] = first.fuelUsed;
      for (let round = 0; round < 3000; round++) {
        const again = plugin.decide(input(operation));
        if (again.fuelUsed !== first.fuelUsed) expect(again).toEqual(first);
        if (round % 2 === 0) plugin.reset();
      }
      // A plugin that has decided nothing yet.
      expect((await load()).decide(input(operation))).toEqual(first);
    }
    // Changes with the cost tables, the compiler and the plugin, and with nothing else.
    expect(used).toMatchInlineSnapshot(`
      {
        "move-cgroup": 2823n,
        "set-memlock": 1796n,
        "set-memlock, denied": 8159n,
        "set-scheduler": 2150n,
      }
    `);
  });

  it('and other facts burn other fuel, so that it is not the same for everything', async () => {
    const { wasm } = await compile(new URL('assembly/demo.ts', FOLDER).pathname);
    const plugin = await loadPlugin({ name: 'demo', wasm, limits: DEFAULT_LIMITS, settings: SETTINGS });
    const facts = { ...FACTS, subject: { ...FACTS.subject, uid: 7 } };
    expect(plugin.decide(input(undefined, facts)).fuelUsed).not.toBe(plugin.decide(input()).fuelUsed);
  });
});
