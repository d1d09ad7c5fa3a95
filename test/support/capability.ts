/** Capabilities of the test's own thread, laid down for a while (capset(2)). */
import { bind, check } from '../../host-api/kernel/libc.ts';

const capget = bind('capget', 'int', ['void *', 'void *']);
const capset = bind('capset', 'int', ['void *', 'void *']);

/** linux/capability.h */
const VERSION_3 = 0x2008_0522;
const CAP_SYS_PTRACE = 19;

/** As a daemon is that has only CAP_SYS_RESOURCE and CAP_SYS_NICE: other users' processes can't be looked into. */
export function withoutPtrace<T>(run: () => T): T {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(VERSION_3, 0);
  // Two of effective, permitted, inheritable, each 32 bits.
  const sets = Buffer.alloc(24);
  check('capget', 'self', () => capget(header, sets));
  const effective = sets.readUInt32LE(0);
  const set = (value: number): void => {
    sets.writeUInt32LE(value >>> 0, 0);
    check('capset', 'self', () => capset(header, sets));
  };
  set(effective & ~(1 << CAP_SYS_PTRACE));
  try {
    return run();
  } finally {
    set(effective);
  }
}
