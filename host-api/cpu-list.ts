/** Highest CPU number deputy handles, exclusive: the kernel's NR_CPUS limit on x86-64. */
export const MAX_CPUS = 8192;

/**
 * Parses the kernel's "list format" of cpusets and affinities, such as "0-3,8" (cpuset(7), FORMATS).
 * Returns ascending CPU numbers without repeats; an empty text is an empty list. Throws a RangeError that names the part.
 */
export function parseCpuList(text: string): number[] {
  const cpus = new Set<number>();
  for (const part of text.trim() === '' ? [] : text.trim().split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (match === null)
      throw new RangeError(`${JSON.stringify(part)} is no CPU or range of CPUs such as "0-3,8"`);
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first) throw new RangeError(`range ${part} runs backwards`);
    if (last >= MAX_CPUS) throw new RangeError(`CPU ${last} is not within 0 to ${MAX_CPUS - 1}`);
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

/** The inverse: [0, 1, 2, 5] is "0-2,5". */
export function formatCpuList(cpus: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < cpus.length; ) {
    const first = cpus[i] as number;
    let last = first;
    while (cpus[i + 1] === last + 1) {
      last++;
      i++;
    }
    parts.push(last === first ? `${first}` : `${first}-${last}`);
    i++;
  }
  return parts.join(',');
}
