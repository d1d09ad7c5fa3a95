import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Change } from '../../../host-api/change.ts';
import { bytes, UNLIMITED } from '../../../host-api/limit.ts';
import { holdingsOf } from '../../../runtime/ledger/layers.ts';
import { Ledger } from '../../../runtime/ledger/ledger.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'deputy-ledger-'));
  file = join(directory, 'ledger.jsonl');
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (bootId = 'boot-1') => Ledger.open(directory, bootId);
const memlock = (pid: number, from: bigint, to: bigint): Change => ({
  tag: 'memlock',
  pid,
  startTimeTicks: 2n ** 60n + 1n,
  before: { soft: bytes(from), hard: bytes(from) },
  after: { soft: bytes(to), hard: bytes(to) },
});
const A = { scope: '/a', lease: undefined };
const LEASE_1 = { scope: '/a', lease: 1 };
const LEASE_2 = { scope: '/a', lease: 2 };

function grant(ledger: Ledger, owner: { scope: string; lease: number | undefined }, change: Change): void {
  ledger.committed(ledger.intent(owner, [change]), [change]);
}

describe('the ledger', () => {
  it('finds after a restart what was granted, 64-bit numbers exact', () => {
    const first = open();
    grant(first, A, memlock(10, 65_536n, 2n ** 62n + 1n));
    grant(first, LEASE_1, memlock(11, 65_536n, 1n << 30n));
    const before = first.layers();
    first.close();
    const second = open();
    expect(second.layers()).toEqual(before);
    expect(second.unfinished()).toEqual([]);
    second.close();
    expect(open().layers()).toEqual(before);
  });

  it('hands back an intent without an outcome, wherever the daemon was killed', () => {
    const ledger = open();
    grant(ledger, A, memlock(10, 1n, 2n));
    const start = readFileSync(file).length;
    const id = ledger.intent(A, [memlock(11, 3n, 4n)]);
    ledger.committed(id, [memlock(11, 3n, 4n)]);
    ledger.close();
    const whole = readFileSync(file);
    const outcomeAt = whole.indexOf('{"kind":"committed"', start);
    const seen = new Set<string>();
    for (let length = start; length <= whole.length; length++) {
      writeFileSync(file, whole.subarray(0, length));
      const survivor = open();
      const state = `${survivor.layers().length} held, ${survivor.unfinished().length} unfinished`;
      seen.add(state);
      // Never lost: not begun, or begun and to be reverted, or held.
      const expected =
        length < outcomeAt
          ? '1 held, 0 unfinished'
          : length < whole.length
            ? '1 held, 1 unfinished'
            : '2 held, 0 unfinished';
      expect(state, `cut at ${length} of ${whole.length}`).toBe(expected);
      survivor.close();
    }
    expect([...seen].sort()).toEqual([
      '1 held, 0 unfinished',
      '1 held, 1 unfinished',
      '2 held, 0 unfinished',
    ]);
  });

  it('keeps an unfinished intent over further restarts until it is settled', () => {
    open().intent(A, [memlock(10, 1n, 2n)]);
    open().close();
    const ledger = open();
    const [left] = ledger.unfinished();
    expect(left?.changes).toEqual([memlock(10, 1n, 2n)]);
    ledger.undone(left?.id ?? 0, []);
    expect(open().unfinished()).toEqual([]);
  });

  it('forgets what another boot granted', () => {
    grant(open(), A, memlock(10, 1n, 2n));
    expect(open('boot-2').layers()).toEqual([]);
  });

  it('refuses to start on a damaged file rather than forget', () => {
    grant(open(), A, memlock(10, 1n, 2n));
    writeFileSync(file, readFileSync(file, 'utf8').replace('"committed"', '"commit'));
    expect(() => open()).toThrow(/ledger\.jsonl:3: damaged/);
    writeFileSync(file, 'something else\n');
    expect(() => open()).toThrow(/ledger\.jsonl:1: not a ledger/);
  });

  it('lets two grants over one field leave in either order', () => {
    for (const order of ['first', 'last'] as const) {
      const ledger = open(`boot-${order}`);
      grant(ledger, LEASE_1, memlock(10, 1n, 5n));
      grant(ledger, LEASE_2, memlock(10, 5n, 9n));
      const [low, high] = ledger.layers();
      if (low === undefined || high === undefined) throw new Error('two layers expected');
      if (order === 'first') {
        expect(ledger.toRevert(low)).toBeUndefined();
        ledger.remove(low);
        const rest = ledger.layers()[0];
        expect(rest && ledger.toRevert(rest)).toEqual(memlock(10, 1n, 9n));
      } else {
        expect(ledger.toRevert(high)).toEqual(memlock(10, 5n, 9n));
        ledger.remove(high);
        const rest = ledger.layers()[0];
        expect(rest && ledger.toRevert(rest)).toEqual(memlock(10, 1n, 5n));
      }
      ledger.close();
      expect(open(`boot-${order}`).layers()).toHaveLength(1);
    }
  });

  it('merges the grants of one owner over one field', () => {
    const ledger = open();
    for (let n = 1n; n < 100n; n++) grant(ledger, A, memlock(10, n, n + 1n));
    expect(ledger.layers().map((layer) => layer.change)).toEqual([memlock(10, 1n, 100n)]);
  });

  it('stays small while grants come and go', () => {
    const ledger = open();
    for (let n = 0; n < 8000; n++) {
      grant(ledger, LEASE_1, memlock(n, 1n, 2n));
      for (const layer of ledger.layers()) ledger.remove(layer);
    }
    expect(readFileSync(file).length).toBeLessThan(1.5 * 1024 * 1024);
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  it('sums what is held, unlimited over everything', () => {
    const ledger = open();
    grant(ledger, A, memlock(10, 1n, 5n));
    grant(ledger, A, memlock(11, 1n, 7n));
    expect(holdingsOf(ledger.layers())).toEqual({ memlockBytes: 12n, realtimeThreads: 0 });
    const unlimited: Change = {
      ...memlock(12, 1n, 2n),
      after: { soft: UNLIMITED, hard: UNLIMITED },
    } as Change;
    grant(ledger, A, unlimited);
    expect(holdingsOf(ledger.layers()).memlockBytes).toBe(2n ** 63n - 1n);
  });
});
