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

/** One name in deputy.toml; a preset stands for several patterns. */
export interface NamedPattern {
  readonly name: string;
  readonly patterns: readonly ScopePattern[];
}

const POD = [
  // cgroup driver systemd; the pod's UID has "_" for "-". QoS guaranteed has no slice of its own.
  '/kubepods.slice/kubepods-{qos}.slice/kubepods-*-pod{pod:id}.slice',
  '/kubepods.slice/kubepods-pod{pod:id}.slice',
  // The same in a node made by kind, whose kubelet has a cgroup root of its own.
  '/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-{qos}.slice/kubelet-kubepods-*-pod{pod:id}.slice',
  '/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{pod:id}.slice',
];
const POD_CGROUPFS = ['/kubepods/{qos}/pod{pod:id}', '/kubepods/pod{pod:id}'];
/** containerd, CRI-O, cri-dockerd. Not "crio-conmon-*": that is CRI-O's own process beside the container. */
const CONTAINER = [
  'cri-containerd-{container:hex}.scope',
  'crio-{container:hex}.scope',
  'docker-{container:hex}.scope',
];

/** Patterns for hosts as they are, to be named in deputy.toml instead of written out. */
export const SCOPE_PRESETS: Readonly<Record<string, readonly string[]>> = {
  // One container of a pod: what shares its fate with the caller. Labels: pod, container, qos unless guaranteed.
  'kubernetes-container': [
    ...POD.flatMap((pod) => CONTAINER.map((container) => `${pod}/${container}`)),
    ...POD_CGROUPFS.map((pod) => `${pod}/{container:hex}`),
  ],
  // The whole pod, with sidecars and with what the container runtime itself puts beside the containers.
  'kubernetes-pod': [...POD, ...POD_CGROUPFS],
  'docker-container': ['/system.slice/docker-{container:hex}.scope', '/docker/{container:hex}'],
  'podman-container': ['/machine.slice/libpod-{container:hex}.scope'],
  // Services with an instance lie in a slice of their template: system-getty.slice.
  'systemd-service': ['/system.slice/{unit}.service', '/system.slice/*.slice/{unit}.service'],
  // Below user@UID.service the user names and fills cgroups as they please: {unit} says what they call it.
  'systemd-user-unit': [
    '/user.slice/user-{uid:number}.slice/user@*.service/{slice}.slice/{unit}',
    '/user.slice/user-{uid:number}.slice/user@*.service/{slice}.slice/*.slice/{unit}',
  ],
  // A login session has processes of other users too: whatever was started by sudo or su.
  'systemd-session': ['/user.slice/user-{uid:number}.slice/session-{session}.scope'],
  // The name in {machine} is escaped by systemd: qemu\x2d1\x2dvm.
  'libvirt-machine': [
    '/machine.slice/machine-{machine}.scope',
    '/machine/{machine}.libvirt-qemu',
    '/machine/{machine}.libvirt-lxc',
  ],
};

export class Scopes {
  readonly #named: readonly NamedPattern[];
  readonly #fallback: boolean;

  /** `fallback`: whether a peer that no pattern matches has its own cgroup as its scope. */
  constructor(named: readonly NamedPattern[], fallback: boolean) {
    this.#named = named;
    this.#fallback = fallback;
  }

  /**
   * The deepest ancestor of the cgroup, itself included, that a pattern matches; else the cgroup itself. At the same
   * depth the pattern that stands first wins.
   *
   * A pattern with "**" may fit several ancestors; then its outermost counts. A cgroup may have been delegated to
   * those in it, and who makes `pod-of-somebody-else` within their own must not be taken for it. Throws NoScope.
   */
  of(cgroup: string): Scope {
    if (!isNormal(cgroup)) {
      throw new DeputyError(
        'NoScope',
        `the caller lies in the cgroup ${JSON.stringify(cgroup)}, which can't be a scope`,
      );
    }
    const ancestors = ancestorsOf(cgroup);
    let scope: Scope | undefined;
    for (const { name, patterns } of this.#named) {
      for (const pattern of patterns) {
        if (!cgroup.startsWith(pattern.prefix)) continue;
        const found = outermost(pattern, ancestors);
        if (found === undefined || found.path.length <= (scope?.path.length ?? 0)) continue;
        const labels = [...found.captures].map(([label, value]) => ({ name: label, value }));
        scope = { path: found.path, name, labels };
      }
    }
    if (scope !== undefined) return scope;
    if (this.#fallback) return { path: cgroup, name: '', labels: [] };
    throw new DeputyError('NoScope', `cgroup ${cgroup} lies in no scope that deputy.toml defines`);
  }
}

/** From the outermost to the cgroup itself, without the root. */
function ancestorsOf(cgroup: string): string[] {
  const paths: string[] = [];
  for (let end = cgroup.indexOf('/', 1); end !== -1; end = cgroup.indexOf('/', end + 1)) {
    paths.push(cgroup.slice(0, end));
  }
  return [...paths, cgroup];
}

function outermost(
  pattern: ScopePattern,
  ancestors: readonly string[],
): { path: string; captures: ReadonlyMap<string, string> } | undefined {
  for (const path of ancestors.slice(pattern.minSegments - 1)) {
    const captures = pattern.match(path);
    if (captures !== undefined) return { path, captures };
    if (!pattern.isDeep) return undefined;
  }
  return undefined;
}

/** Whether the cgroup is the scope's, or lies below it. Both must be normal. */
export function isWithin(cgroup: string, scopePath: string): boolean {
  return cgroup === scopePath || cgroup.startsWith(`${scopePath}/`);
}

/**
 * Whether the path, as /proc/PID/cgroup gives it, can be a scope or lie in one: a removed cgroup, one outside the
 * daemon's cgroup namespace ("/../x") and the root give nobody rights. Nor does a name that is no UTF-8: two such
 * names would read the same.
 */
export function isNormal(cgroup: string): boolean {
  return (
    cgroup.startsWith('/') &&
    !cgroup.endsWith(' (deleted)') &&
    !cgroup.includes('\ufffd') &&
    cgroup
      .slice(1)
      .split('/')
      .every((part) => part !== '' && part !== '.' && part !== '..')
  );
}

/** Throws ScopePatternError. A name that is no preset's is an empty pattern's error: check it first. */
export function namedPattern(
  name: string,
  source: { preset?: string | undefined; pattern?: string | undefined },
): NamedPattern {
  const { preset = '', pattern } = source;
  const texts =
    pattern !== undefined
      ? [pattern]
      : Object.hasOwn(SCOPE_PRESETS, preset)
        ? SCOPE_PRESETS[preset]
        : undefined;
  return { name, patterns: (texts ?? ['']).map(parseScopePattern) };
}
