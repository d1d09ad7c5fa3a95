/**
 * Laying down what a daemon does not need: capabilities(7), PR_SET_NO_NEW_PRIVS.
 *
 * All of it belongs to single threads, and a Node process has a dozen of them before its first line of JavaScript runs.
 * So it is laid down in one thread, and that thread executes the program again: execve(2) ends all others, and every
 * thread of the new image descends from the one that called it.
 */
import { readFileSync } from 'node:fs';
import { bind, check } from './libc.ts';

/** linux/capability.h */
export const CAPABILITIES = {
  CAP_DAC_OVERRIDE: 1,
  CAP_SETPCAP: 8,
  CAP_SYS_NICE: 23,
  CAP_SYS_RESOURCE: 24,
} as const;
export type CapabilityName = keyof typeof CAPABILITIES;

/** A set as the kernel has it, bit n for capability n. */
export type CapabilitySet = bigint;

export interface Privileges {
  readonly permitted: CapabilitySet;
  readonly effective: CapabilitySet;
  readonly bounding: CapabilitySet;
  readonly ambient: CapabilitySet;
  readonly noNewPrivs: boolean;
}

const prctl = bind('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']);
const capset = bind('capset', 'int', ['void *', 'void *']);
const fcntl = bind('fcntl', 'int', ['int', 'int', 'int']);
const execve = bind('execve', 'int', ['str', 'const char **', 'const char **']);

/** linux/prctl.h */
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2n;
const PR_CAP_AMBIENT_CLEAR_ALL = 4n;
/** linux/capability.h */
const CAPABILITY_VERSION_3 = 0x2008_0522;
/** fcntl.h */
const F_SETFD = 2;
const F_GETFD = 1;

export function capabilitySet(names: readonly CapabilityName[]): CapabilitySet {
  return names.reduce((set, name) => set | (1n << BigInt(CAPABILITIES[name])), 0n);
}

/** Of one thread, as /proc/PID/task/TID/status tells; without arguments of the calling thread's process. */
export function readPrivileges(path = '/proc/thread-self/status'): Privileges {
  const status = readFileSync(path, 'latin1');
  const field = (name: string): string => {
    const value = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1];
    if (value === undefined) throw new RangeError(`${path} has no line ${name}`);
    return value;
  };
  return {
    permitted: BigInt(`0x${field('CapPrm')}`),
    effective: BigInt(`0x${field('CapEff')}`),
    bounding: BigInt(`0x${field('CapBnd')}`),
    ambient: BigInt(`0x${field('CapAmb')}`),
    noNewPrivs: field('NoNewPrivs') === '1',
  };
}

/**
 * Leaves the calling thread with no capability but `keep`, of those it has, and with none that an execve could give it
 * back. To be followed by `executeAgain`, which hands the state on to a whole process.
 *
 * Root has after execve what is in its bounding set *and* was permitted before. Another uid has what is ambient, so
 * there `keep` is made ambient. Without CAP_SETPCAP the bounding set can't be changed, and needs not be: no_new_privs
 * alone keeps execve from giving anything that is not permitted now.
 */
export function layDownAllBut(keep: CapabilitySet): void {
  const { permitted, bounding } = readPrivileges();
  const kept = permitted & keep;
  control('PR_SET_NO_NEW_PRIVS', PR_SET_NO_NEW_PRIVS, 1n);
  if ((permitted & capabilitySet(['CAP_SETPCAP'])) !== 0n) {
    for (const capability of members(bounding & ~keep)) {
      control('PR_CAPBSET_DROP', PR_CAPBSET_DROP, BigInt(capability));
    }
  }
  control('PR_CAP_AMBIENT_CLEAR_ALL', PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
  const handOn = process.geteuid?.() !== 0;
  setCapabilities(kept, handOn ? kept : 0n);
  if (!handOn) return;
  for (const capability of members(kept)) {
    control('PR_CAP_AMBIENT_RAISE', PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, BigInt(capability));
  }
}

/** Of the calling thread: what has been handed on to this image goes no further. */
export function clearAmbient(): void {
  control('PR_CAP_AMBIENT_CLEAR_ALL', PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
}

/**
 * Replaces this process by a new image of the same program with the same arguments, under the same pid. Returns only by
 * throwing a KernelError. Descriptors below `3 + inherited` stay open: Node marks what it inherited close-on-exec.
 */
export function executeAgain(env: NodeJS.ProcessEnv, inherited: number): never {
  const words = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value ?? ''}`);
  for (let fd = 0; fd < 3 + inherited; fd++) {
    const flags = check('fcntl F_GETFD', `descriptor ${fd}`, () => fcntl(fd, F_GETFD, 0));
    if (flags !== 0) check('fcntl F_SETFD', `descriptor ${fd}`, () => fcntl(fd, F_SETFD, 0));
  }
  check('execve', process.execPath, () => execve(process.execPath, [...words, null], [...variables, null]));
  throw new Error('execve returned');
}

function setCapabilities(set: CapabilitySet, inheritable: CapabilitySet): void {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(CAPABILITY_VERSION_3, 0);
  // struct __user_cap_data_struct[2]: effective, permitted, inheritable; the lower 32 bits first.
  const data = Buffer.alloc(24);
  for (const [index, half] of [0n, 32n].entries()) {
    data.writeUInt32LE(Number((set >> half) & 0xffff_ffffn), index * 12);
    data.writeUInt32LE(Number((set >> half) & 0xffff_ffffn), index * 12 + 4);
    data.writeUInt32LE(Number((inheritable >> half) & 0xffff_ffffn), index * 12 + 8);
  }
  check('capset', 'the daemon', () => capset(header, data));
}

function members(set: CapabilitySet): number[] {
  return Array.from({ length: 64 }, (_, n) => n).filter((n) => ((set >> BigInt(n)) & 1n) === 1n);
}

function control(name: string, option: number, second: bigint, third = 0n): void {
  check(`prctl ${name}`, 'the daemon', () => prctl(option, second, third, 0n, 0n));
}
