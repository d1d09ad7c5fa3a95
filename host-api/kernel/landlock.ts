/**
 * Landlock (landlock(7), Documentation/userspace-api/landlock.rst): the calling thread gives up all files but those below
 * the folders that it names. It can't be undone, and is handed on over clone(2) and execve(2). Needs no_new_privs.
 */
import { closeSync, openSync, statSync } from 'node:fs';
import { KernelError } from './errno.ts';
import { bind, check } from './libc.ts';

const create_ruleset = bind('syscall', 'long', ['long', 'void *', 'ulong', 'uint']);
const add_rule = bind('syscall', 'long', ['long', 'int', 'int', 'void *', 'uint']);
const restrict_self = bind('syscall', 'long', ['long', 'int', 'uint']);

/** The same on all architectures (asm-generic/unistd.h). */
const SYSCALLS = { create_ruleset: 444, add_rule: 445, restrict_self: 446 } as const;

/** linux/landlock.h: the thirteen rights of the first version, EXECUTE to MAKE_SYM. */
const ALL_RIGHTS = (1n << 13n) - 1n;
/** EXECUTE, WRITE_FILE and READ_FILE: those that a rule for a single file may have. */
const FILE_RIGHTS = 0b111n;
const RULE_PATH_BENEATH = 1;
const CREATE_RULESET_VERSION = 1;
const O_PATH = 0o10000000;

/** Whether the kernel has it: 0 where not, else its version. */
export function landlockVersion(): number {
  try {
    return check('landlock_create_ruleset', 'version', () =>
      create_ruleset(SYSCALLS.create_ruleset, null, 0n, CREATE_RULESET_VERSION),
    );
  } catch (error) {
    if (error instanceof KernelError) return 0;
    throw error;
  }
}

/** From now on the calling thread opens nothing but what lies below `paths`; those that don't exist are left out. */
export function allowOnly(paths: readonly string[]): void {
  const attributes = Buffer.alloc(8);
  attributes.writeBigUInt64LE(ALL_RIGHTS);
  const ruleset = check('landlock_create_ruleset', 'the daemon', () =>
    create_ruleset(SYSCALLS.create_ruleset, attributes, BigInt(attributes.length), 0),
  );
  try {
    for (const path of paths) allow(ruleset, path);
    check('landlock_restrict_self', 'the daemon', () => restrict_self(SYSCALLS.restrict_self, ruleset, 0));
  } finally {
    closeSync(ruleset);
  }
}

function allow(ruleset: number, path: string): void {
  let fd: number;
  try {
    fd = openSync(path, O_PATH);
  } catch (error) {
    if (['ENOENT', 'EACCES', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return;
    throw error;
  }
  try {
    // struct landlock_path_beneath_attr, packed: u64 allowed_access, s32 parent_fd.
    const rule = Buffer.alloc(12);
    rule.writeBigUInt64LE(statSync(path).isDirectory() ? ALL_RIGHTS : FILE_RIGHTS, 0);
    rule.writeInt32LE(fd, 8);
    check('landlock_add_rule', path, () => add_rule(SYSCALLS.add_rule, ruleset, RULE_PATH_BENEATH, rule, 0));
  } finally {
    closeSync(fd);
  }
}
