import { beforeEach, describe, expect, it } from 'vitest';
import { WASI_TABLE, wasiFunctions } from '../../../runtime/sandbox/wasi-deny.ts';
import { hostGuest } from './abi/host-guest.ts';

const EBADF = 8;
const EINVAL = 28;
const ESPIPE = 70;

let written: string[];
let world: ReturnType<typeof hostGuest>;
let call: (name: string, ...args: (number | bigint)[]) => unknown;
let view: DataView;

beforeEach(() => {
  written = [];
  world = hostGuest();
  view = new DataView(world.memory.buffer);
  const output = {
    random: 0,
    write: (fd: number, bytes: Uint8Array) => written.push(`${fd}: ${Buffer.from(bytes).toString('latin1')}`),
  };
  const functions = wasiFunctions(world.guest, () => output);
  call = (name, ...args) => functions.get(name)?.call(...args);
});

function iovecs(at: number, ...texts: string[]): void {
  let block = 2048;
  texts.forEach((text, index) => {
    new Uint8Array(world.memory.buffer).set(Buffer.from(text), block);
    view.setUint32(at + index * 8, block, true);
    view.setUint32(at + index * 8 + 4, text.length, true);
    block += text.length;
  });
}

describe('what WASI answers', () => {
  it('writes stdout and stderr to the log', () => {
    iovecs(512, 'hello ', 'world\n');
    expect(call('fd_write', 1, 512, 2, 600)).toBe(0);
    expect(call('fd_write', 2, 512, 1, 600)).toBe(0);
    expect(written).toEqual(['1: hello ', '1: world\n', '2: hello ']);
    expect(view.getUint32(600, true)).toBe(6);
  });

  it('has no other file', () => {
    expect(call('fd_write', 3, 512, 0, 600)).toBe(EBADF);
    expect(call('fd_write', -1, 512, 0, 600)).toBe(EBADF);
    expect(call('fd_read', 3, 512, 0, 600)).toBe(EBADF);
    expect(call('fd_close', 3)).toBe(EBADF);
    expect(call('fd_fdstat_get', 3, 600)).toBe(EBADF);
    expect(call('fd_prestat_get', 3, 600)).toBe(EBADF);
    expect(call('path_open', 3, 0, 0, 0, 0, 0n, 0n, 0, 600)).toBe(EBADF);
    expect(written).toEqual([]);
  });

  it('ends stdin at once', () => {
    view.setUint32(600, 99, true);
    expect(call('fd_read', 0, 512, 1, 600)).toBe(0);
    expect(view.getUint32(600, true)).toBe(0);
  });

  it('shows the standard streams as a terminal that can not seek', () => {
    new Uint8Array(world.memory.buffer).fill(0xff, 600, 624);
    expect(call('fd_fdstat_get', 1, 600)).toBe(0);
    expect([...new Uint8Array(world.memory.buffer, 600, 24)]).toEqual([
      2, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    expect(call('fd_seek', 1, 0n, 0, 600)).toBe(ESPIPE);
    expect(call('fd_tell', 0, 600)).toBe(ESPIPE);
  });

  it('has no arguments and no environment', () => {
    for (const name of ['args', 'environ']) {
      view.setUint32(600, 99, true);
      view.setUint32(604, 99, true);
      expect(call(`${name}_sizes_get`, 600, 604)).toBe(0);
      expect([view.getUint32(600, true), view.getUint32(604, true)]).toEqual([0, 0]);
      expect(call(`${name}_get`, 600, 604)).toBe(0);
    }
  });

  it('has a clock that stands still', () => {
    view.setBigUint64(600, 99n, true);
    expect(call('clock_time_get', 0, 0n, 600)).toBe(0);
    expect(view.getBigUint64(600, true)).toBe(0n);
  });

  it('gives the same random bytes from the same state, and others as it goes on', () => {
    call('random_get', 600, 16);
    call('random_get', 616, 16);
    const first = Buffer.from(world.memory.buffer.slice(600, 616)).toString('hex');
    const second = Buffer.from(world.memory.buffer.slice(616, 632)).toString('hex');
    expect(first).not.toBe(second);
    const again = hostGuest();
    wasiFunctions(again.guest, () => ({ random: 0, write: () => {} }))
      .get('random_get')
      ?.call(600, 16);
    expect(Buffer.from(again.memory.buffer.slice(600, 616)).toString('hex')).toBe(first);
  });

  it('takes fuel for every byte, before it copies one', () => {
    const before = world.burnt();
    call('random_get', 600, 1000);
    expect(world.burnt() - before).toBeGreaterThanOrEqual(1000);
  });
});

describe('pointers that lie', () => {
  const SIZE = 4 * 65536;
  it.each([
    ['fd_write', [1, SIZE - 4, 1, 600]],
    ['fd_write', [1, 513, 1, 600]],
    ['fd_write', [1, 512, 1, SIZE]],
    ['fd_read', [0, 512, 1, SIZE - 2]],
    ['random_get', [SIZE - 8, 9]],
    ['random_get', [0, -1]],
    ['clock_time_get', [0, 0n, SIZE - 4]],
    ['clock_time_get', [0, 0n, 604]],
    ['args_sizes_get', [SIZE, 600]],
    ['environ_sizes_get', [600, -4]],
    ['fd_fdstat_get', [1, SIZE - 16]],
  ] as const)('%s of %o is a fault', (name, args) => {
    expect(() => call(name, ...args)).toThrowError(expect.objectContaining({ kind: 'abi' }));
  });

  it('fd_write whose buffer lies outside writes none of the others', () => {
    iovecs(512, 'good', 'bad');
    view.setUint32(520, SIZE - 1, true);
    expect(() => call('fd_write', 1, 512, 2, 600)).toThrowError(expect.objectContaining({ kind: 'abi' }));
    expect(written).toEqual([]);
  });

  it('fd_write with more buffers than IOV_MAX is refused', () => {
    expect(call('fd_write', 1, 512, 1025, 600)).toBe(EINVAL);
  });
});

describe('the table', () => {
  it('has no function of a network', () => {
    expect(Object.keys(WASI_TABLE).filter((name) => name.startsWith('sock_'))).toEqual([]);
  });

  it('answers every function with an errno or a fault', () => {
    for (const [name, [params]] of Object.entries(WASI_TABLE)) {
      const args = [...params].map((letter) => (letter === 'I' ? 0n : 1024));
      if (name === 'proc_exit') expect(() => call(name, ...args)).toThrowError(/proc_exit/);
      else expect(call(name, ...args), name).toBeTypeOf('number');
    }
  });
});
