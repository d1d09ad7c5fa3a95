import { readFileSync } from 'node:fs';

/** Where cgroup v2 is mounted, and which part of its tree is to be seen there ("/" for all). */
export interface CgroupMount {
  readonly mountPoint: string;
  readonly root: string;
}

/**
 * Finds the cgroup2 mount in /proc/self/mountinfo (proc(5)): "/sys/fs/cgroup" on unified hosts,
 * "/sys/fs/cgroup/unified" on hybrid ones. Undefined where there is none.
 */
export function findCgroupMount(
  mountinfo = readFileSync('/proc/self/mountinfo', 'utf8'),
): CgroupMount | undefined {
  for (const line of mountinfo.split('\n')) {
    // 36 35 98:0 ROOT MOUNTPOINT options optional… - TYPE source superoptions
    const [before, after] = line.split(' - ');
    if (after?.split(' ')[0] !== 'cgroup2') continue;
    const fields = before?.split(' ') ?? [];
    const [root, mountPoint] = [fields[3], fields[4]];
    if (root !== undefined && mountPoint !== undefined) {
      return { root: unescapeOctal(root), mountPoint: unescapeOctal(mountPoint) };
    }
  }
  return undefined;
}

/** Space, tab, newline and backslash are written as \ooo. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
