/**
 * WASI preview 1 as C, Rust and Zig toolchains import it, with nothing behind it: stdout and stderr go to the log, the
 * clock stands still, random numbers are the same every time, and there are no arguments, no environment and no files.
 * A function that is not in the table (sockets) is refused at load. `node:wasi` is no choice: its documentation says
 * that it is no sandbox. Layouts and numbers: WASI preview 1, wasi_snapshot_preview1.witx.
 */
import { COSTS } from './abi/costs.ts';
import type { Guest } from './abi/guest.ts';
import type { CoreType } from './abi/layout.ts';
import type { CoreValue } from './abi/lift.ts';
import type { HostFunction } from './host-function.ts';

export const WASI_MODULE = 'wasi_snapshot_preview1';

const SUCCESS = 0;
const EBADF = 8;
const EINVAL = 28;
const ENOSYS = 52;
const ESPIPE = 70;

/** As IOV_MAX of Linux. */
const MAX_IOVECS = 1024;
const FILETYPE_CHARACTER_DEVICE = 2;
const RIGHT_FD_READ = 1n << 1n;
const RIGHT_FD_WRITE = 1n << 6n;

/**
 * Every function that links: parameters ("i" for i32, "I" for i64) and the errno that it always answers, or 'answer'
 * where `Wasi` has an implementation. All return an errno but proc_exit, which returns nothing.
 */
export const WASI_TABLE = {
  args_get: ['ii', 'answer'],
  args_sizes_get: ['ii', 'answer'],
  environ_get: ['ii', 'answer'],
  environ_sizes_get: ['ii', 'answer'],
  clock_res_get: ['ii', 'answer'],
  clock_time_get: ['iIi', 'answer'],
  fd_advise: ['iIIi', EBADF],
  fd_allocate: ['iII', EBADF],
  fd_close: ['i', 'answer'],
  fd_datasync: ['i', EBADF],
  fd_fdstat_get: ['ii', 'answer'],
  fd_fdstat_set_flags: ['ii', EBADF],
  fd_fdstat_set_rights: ['iII', EBADF],
  fd_filestat_get: ['ii', EBADF],
  fd_filestat_set_size: ['iI', EBADF],
  fd_filestat_set_times: ['iIIi', EBADF],
  fd_pread: ['iiiIi', EBADF],
  fd_prestat_get: ['ii', EBADF],
  fd_prestat_dir_name: ['iii', EBADF],
  fd_pwrite: ['iiiIi', EBADF],
  fd_read: ['iiii', 'answer'],
  fd_readdir: ['iiiIi', EBADF],
  fd_renumber: ['ii', EBADF],
  fd_seek: ['iIii', 'answer'],
  fd_sync: ['i', EBADF],
  fd_tell: ['ii', 'answer'],
  fd_write: ['iiii', 'answer'],
  path_create_directory: ['iii', EBADF],
  path_filestat_get: ['iiiii', EBADF],
  path_filestat_set_times: ['iiiiIIi', EBADF],
  path_link: ['iiiiiii', EBADF],
  path_open: ['iiiiiIIii', EBADF],
  path_readlink: ['iiiiii', EBADF],
  path_remove_directory: ['iii', EBADF],
  path_rename: ['iiiiii', EBADF],
  path_symlink: ['iiiii', EBADF],
  path_unlink_file: ['iii', EBADF],
  poll_oneoff: ['iiii', ENOSYS],
  proc_exit: ['i', 'answer'],
  proc_raise: ['i', ENOSYS],
  random_get: ['ii', 'answer'],
  sched_yield: ['', SUCCESS],
} as const satisfies Record<string, readonly [string, number | 'answer']>;

type Answered = {
  [N in keyof typeof WASI_TABLE]: (typeof WASI_TABLE)[N][1] extends 'answer' ? N : never;
}[keyof typeof WASI_TABLE];

/** What a call keeps for WASI. */
export interface WasiOutput {
  write(fd: 1 | 2, bytes: Uint8Array): void;
  /** The state of the random numbers, set back before each call, since a decision must not depend on the one before. */
  random: number;
}

/** `output` gives the call in progress; throws a fault where the plugin may call nothing. */
export function wasiFunctions(
  guest: Guest,
  enter: (name: string) => WasiOutput,
): ReadonlyMap<string, HostFunction> {
  const answers = wasiAnswers(guest);
  const functions = new Map<string, HostFunction>();
  for (const [name, [params, behaviour]] of Object.entries(WASI_TABLE)) {
    const answer = behaviour === 'answer' ? answers[name as Answered] : () => behaviour;
    functions.set(name, {
      signature: {
        params: [...params].map((letter): CoreType => (letter === 'I' ? 'i64' : 'i32')),
        results: name === 'proc_exit' ? [] : ['i32'],
      },
      call: (...flat) => answer(flat.map(unsigned), enter(name)),
    });
  }
  return functions;
}

type Answer = (args: readonly number[], output: WasiOutput) => number;

function wasiAnswers(guest: Guest): Readonly<Record<Answered, Answer>> {
  const store32 = (ptr: number, value: number): void => {
    guest.check(ptr, 4, 4, 'a WASI result');
    guest.setU32(ptr, value);
  };
  const store64 = (ptr: number, value: bigint): void => {
    guest.check(ptr, 8, 8, 'a WASI result');
    guest.setU64(ptr, value);
  };
  const none: Answer = () => SUCCESS;
  const noneSizes: Answer = ([count = 0, bytes = 0]) => {
    store32(count, 0);
    store32(bytes, 0);
    return SUCCESS;
  };
  return {
    args_get: none,
    args_sizes_get: noneSizes,
    environ_get: none,
    environ_sizes_get: noneSizes,
    clock_res_get: ([, result = 0]) => {
      store64(result, 1n);
      return SUCCESS;
    },
    clock_time_get: ([, , result = 0]) => {
      store64(result, 0n);
      return SUCCESS;
    },
    fd_close: ([fd = 0]) => (fd <= 2 ? SUCCESS : EBADF),
    // A terminal without seek and tell, so that libc writes line by line instead of keeping what a reset throws away.
    fd_fdstat_get: ([fd = 0, result = 0]) => {
      if (fd > 2) return EBADF;
      guest.check(result, 24, 8, 'a WASI fdstat');
      guest.setU64(result, BigInt(FILETYPE_CHARACTER_DEVICE));
      guest.setU64(result + 8, fd === 0 ? RIGHT_FD_READ : RIGHT_FD_WRITE);
      guest.setU64(result + 16, 0n);
      return SUCCESS;
    },
    fd_read: ([fd = 0, , , result = 0]) => {
      if (fd !== 0) return EBADF;
      store32(result, 0);
      return SUCCESS;
    },
    fd_seek: ([fd = 0]) => (fd <= 2 ? ESPIPE : EBADF),
    fd_tell: ([fd = 0]) => (fd <= 2 ? ESPIPE : EBADF),
    fd_write: ([fd = 0, iovecs = 0, count = 0, result = 0], output) => {
      if (fd !== 1 && fd !== 2) return EBADF;
      if (count > MAX_IOVECS) return EINVAL;
      guest.check(iovecs, count * 8, 4, 'WASI iovecs');
      guest.owe(count * COSTS.element);
      // Sizes first: all of it is paid for before any of it is copied.
      let total = 0;
      for (let index = 0; index < count; index++) {
        const size = guest.u32(iovecs + index * 8 + 4);
        guest.check(guest.u32(iovecs + index * 8), size, 1, 'a WASI buffer');
        total += size;
      }
      guest.charge(total * COSTS.byte);
      for (let index = 0; index < count; index++) {
        const size = guest.u32(iovecs + index * 8 + 4);
        output.write(fd, guest.bytes(guest.u32(iovecs + index * 8), size, 'a WASI buffer'));
      }
      // More than 4 GiB by overlapping buffers costs more fuel than any plugin has.
      store32(result, total >>> 0);
      return SUCCESS;
    },
    proc_exit: ([code = 0]) => guest.fail('trap', `the plugin called proc_exit(${code})`),
    random_get: ([ptr = 0, size = 0], output) => {
      guest.check(ptr, size, 1, 'a WASI buffer');
      guest.charge(size * COSTS.byte);
      const bytes = guest.bytes(ptr, size, 'a WASI buffer');
      for (let index = 0; index < size; index++) bytes[index] = nextRandom(output);
      return SUCCESS;
    },
  };
}

/** mulberry32: enough to seed a hash map, and for nothing that must be secret. */
export function nextRandom(output: WasiOutput): number {
  output.random = (output.random + 0x6d2b79f5) | 0;
  let mixed = Math.imul(output.random ^ (output.random >>> 15), 1 | output.random);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) & 0xff;
}

/** i32 as unsigned; the 64-bit parameters (offsets, precisions, rights) matter to none of the answers. */
function unsigned(value: CoreValue): number {
  return typeof value === 'number' ? value >>> 0 : 0;
}
