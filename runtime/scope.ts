/** The part of the cgroup tree that a caller may act in. */
import type { Label } from '../host-api/contract.ts';
import { DeputyError } from '../host-api/errors.ts';
import { parseScopePattern, type ScopePattern } from './scope-pattern.ts';

export interface Scope {
  /** A cgroup path, never "/". */
  readonly path: string;
  /** The name of the pattern that matched, "" for the fallback. */
  readonly name: string;
  readonly labels: readonly Label[];
}

export interface NamedPattern {
  readonly name: string;
  readonly pattern: ScopePattern;
}

/** Patterns for hosts as they are, to be named in deputy.toml instead of written out. */
export const SCOPE_PRESETS: Readonly<Record<string, string>> = {
  // A container of a pod, cgroup driver systemd, QoS burstable or besteffort. The pod's UID has "_" for "-".
  'kubernetes-systemd': '/kubepods.slice/kubepods-{qos}.slice/kubepods-*-pod{pod}.slice/{container}.scope',
  // The same for QoS guaranteed, which has no slice of its own.
  'kubernetes-systemd-guaranteed': '/kubepods.slice/kubepods-pod{pod}.slice/{container}.scope',
  // Cgroup driver cgroupfs.
  'kubernetes-cgroupfs': '/kubepods/{qos}/pod{pod}/{container}',
  'kubernetes-cgroupfs-guaranteed': '/kubepods/pod{pod}/{container}',
  'systemd-service': '/system.slice/{unit}.service',
  'systemd-user-unit': '/user.slice/user-{uid}.slice/user@*.service/{slice}.slice/{unit}',
  'systemd-session': '/user.slice/user-{uid}.slice/session-{session}.scope',
  'libvirt-machine': '/machine.slice/machine-{machine}.scope',
};

export class Scopes {
  readonly #patterns: readonly NamedPattern[];
  readonly #fallback: boolean;

  constructor(patterns: readonly NamedPattern[], fallback: boolean) {
    this.#patterns = patterns;
    this.#fallback = fallback;
  }

  /**
   * The deepest ancestor of the cgroup, itself included, that a pattern matches; else the cgroup itself. At the same
   * depth the pattern that stands first wins. Throws NoScope.
   */
  of(cgroup: string): Scope {
    assertNormal(cgroup);
    for (let path = cgroup; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
      for (const { name, pattern } of this.#patterns) {
        const captures = pattern.match(path);
        if (captures === undefined) continue;
        return { path, name, labels: [...captures].map(([label, value]) => ({ name: label, value })) };
      }
    }
    if (this.#fallback) return { path: cgroup, name: '', labels: [] };
    throw new DeputyError('NoScope', `cgroup ${cgroup} lies in no scope that deputy.toml defines`);
  }
}

/** Whether the cgroup is the scope's, or lies below it. */
export function isWithin(cgroup: string, scopePath: string): boolean {
  return cgroup === scopePath || cgroup.startsWith(`${scopePath}/`);
}

/** A removed cgroup, one outside the cgroup namespace, or the root gives nobody rights. */
function assertNormal(cgroup: string): void {
  const normal =
    cgroup.startsWith('/') &&
    !cgroup.endsWith(' (deleted)') &&
    cgroup
      .slice(1)
      .split('/')
      .every((part) => part !== '' && part !== '.' && part !== '..');
  if (!normal)
    throw new DeputyError(
      'NoScope',
      `the caller lies in the cgroup ${JSON.stringify(cgroup)}, which can't be a scope`,
    );
}

/** Throws ScopePatternError. */
export function namedPattern(
  name: string,
  source: { preset?: string | undefined; pattern?: string | undefined },
): NamedPattern {
  const text = source.pattern ?? SCOPE_PRESETS[source.preset ?? ''] ?? '';
  return { name, pattern: parseScopePattern(text) };
}
