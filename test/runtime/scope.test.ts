import { describe, expect, it } from 'vitest';
import type { DeputyError } from '../../host-api/errors.ts';
import { isNormal, isWithin, namedPattern, SCOPE_PRESETS, Scopes } from '../../runtime/scope.ts';
import { ScopePatternError } from '../../runtime/scope-pattern.ts';

const UID = '9b7969b2_aad0_47d4_b11c_4acfd1ce018e';
const DASHED = 'c458de04-9784-4f7a-990e-cefe26b511f0';
const STATIC = '1fbd6e7d0b4c4e23a8a91e8dbf7a1f0c';
const ID = '9b9ccc15d288aa0f7d3bf7b583993921bf261edfeff3467765ab81e687c6a889';

const BURSTABLE = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID}.slice`;
const GUARANTEED = `/kubepods.slice/kubepods-pod${UID}.slice`;
const KIND = `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${UID}.slice`;
const USER = '/user.slice/user-1000.slice/user@1000.service';

/** cgroup of a process on a real host → the scope's path, without the part in brackets, and its labels. */
const HOSTS: Record<
  keyof typeof SCOPE_PRESETS,
  [cgroup: string, labels: Record<string, string> | undefined][]
> = {
  'kubernetes-container': [
    [`${BURSTABLE}/crio-${ID}.scope`, { qos: 'burstable', pod: UID, container: ID }],
    [`${BURSTABLE}/crio-${ID}.scope[/container]`, { qos: 'burstable', pod: UID, container: ID }],
    [`${BURSTABLE}/cri-containerd-${ID}.scope[/housekeeping]`, { qos: 'burstable', pod: UID, container: ID }],
    [`${GUARANTEED}/docker-${ID}.scope`, { pod: UID, container: ID }],
    [
      `${GUARANTEED}/cri-containerd-${ID}.scope[/machine/qemu-1-vm.libvirt-qemu/emulator]`,
      { pod: UID, container: ID },
    ],
    [`/kubepods/burstable/pod${DASHED}/${ID}`, { qos: 'burstable', pod: DASHED, container: ID }],
    [`/kubepods/besteffort/pod${STATIC}/${ID}`, { qos: 'besteffort', pod: STATIC, container: ID }],
    [`/kubepods/pod${DASHED}/${ID}[/init]`, { pod: DASHED, container: ID }],
    [`${KIND}/cri-containerd-${ID}.scope`, { qos: 'besteffort', pod: UID, container: ID }],
    // CRI-O's monitor belongs to the runtime, not to the pod.
    [`${BURSTABLE}/crio-conmon-${ID}.scope`, undefined],
    [BURSTABLE, undefined],
    ['/kubepods.slice/kubepods-burstable.slice', undefined],
    // A delegated cgroup can hold cgroups of any name; the patterns begin at the root.
    [`/user.slice/user-1000.slice${BURSTABLE}/crio-${ID}.scope`, undefined],
    [`/kubepods/burstable/pod${DASHED}/not-a-container`, undefined],
  ],
  'kubernetes-pod': [
    [`${BURSTABLE}[/crio-${ID}.scope]`, { qos: 'burstable', pod: UID }],
    [`${GUARANTEED}[/crio-${ID}.scope]`, { pod: UID }],
    [`/kubepods/besteffort/pod${DASHED}[/${ID}]`, { qos: 'besteffort', pod: DASHED }],
    [`/kubepods/pod${DASHED}[/${ID}/${'pod1'}]`, { pod: DASHED }],
    [`${KIND}[/cri-containerd-${ID}.scope]`, { qos: 'besteffort', pod: UID }],
    ['/kubepods/besteffort', undefined],
  ],
  'docker-container': [
    [`/system.slice/docker-${ID}.scope`, { container: ID }],
    [`/docker/${ID}[/kubelet.slice]`, { container: ID }],
    ['/system.slice/docker.service', undefined],
  ],
  'podman-container': [
    [`/machine.slice/libpod-${ID}.scope[/container]`, { container: ID }],
    [`/machine.slice/libpod-conmon-${ID}.scope`, undefined],
  ],
  'systemd-service': [
    ['/system.slice/libvirtd.service', { unit: 'libvirtd' }],
    ['/system.slice/virtqemud.service[/qemu]', { unit: 'virtqemud' }],
    ['/system.slice/system-getty.slice/getty@tty1.service', { unit: 'getty@tty1' }],
    ['/system.slice/dbus-org.freedesktop.resolve1.service', { unit: 'dbus-org.freedesktop.resolve1' }],
    ['/system.slice/libvirtd.socket', undefined],
    ['/system.slice', undefined],
    ['/init.scope', undefined],
  ],
  'systemd-user-unit': [
    [`${USER}/session.slice/pipewire.service`, { uid: '1000', slice: 'session', unit: 'pipewire.service' }],
    [
      `${USER}/app.slice/app-gnome-jack-99.scope`,
      { uid: '1000', slice: 'app', unit: 'app-gnome-jack-99.scope' },
    ],
    [
      `${USER}/app.slice/app-org.gnome.Terminal.slice/vte-spawn-3c.scope[/x]`,
      { uid: '1000', slice: 'app', unit: 'vte-spawn-3c.scope' },
    ],
    [`${USER}/init.scope`, undefined],
    ['/user.slice/user-x.slice/user@x.service/app.slice/a.scope', undefined],
  ],
  'systemd-session': [
    ['/user.slice/user-1000.slice/session-3.scope', { uid: '1000', session: '3' }],
    ['/user.slice/user-1000.slice/session-c1.scope', { uid: '1000', session: 'c1' }],
    [USER, undefined],
  ],
  'libvirt-machine': [
    ['/machine.slice/machine-qemu\\x2d1\\x2dvm.scope[/libvirt/vcpu0]', { machine: 'qemu\\x2d1\\x2dvm' }],
    ['/machine/qemu-1-my.vm.libvirt-qemu[/emulator]', { machine: 'qemu-1-my.vm' }],
    ['/machine.slice/systemd-nspawn@x.service', undefined],
  ],
};

describe.each(Object.keys(SCOPE_PRESETS))('preset %s', (preset) => {
  const scopes = new Scopes([namedPattern('p', { preset })], false);

  it.each(HOSTS[preset] ?? [])('%s', (marked, labels) => {
    const path = marked.replace(/\[.*\]/, '');
    const cgroup = marked.replace(/[[\]]/g, '');
    if (labels === undefined) {
      expect(() => scopes.of(cgroup)).toThrow(expect.objectContaining({ code: 'NoScope' }) as DeputyError);
      return;
    }
    const scope = scopes.of(cgroup);
    expect({
      ...scope,
      labels: Object.fromEntries(scope.labels.map(({ name, value }) => [name, value])),
    }).toEqual({ path, name: 'p', labels });
  });

  it('has examples', () => expect(HOSTS[preset]?.length).toBeGreaterThan(1));
});

describe('the scope of a cgroup', () => {
  const scopes = new Scopes(
    [
      namedPattern('service', { preset: 'systemd-service' }),
      namedPattern('pod', { pattern: '/kubepods/**/pod{pod}' }),
      namedPattern('container', { pattern: '/kubepods/*/pod{pod}/{container}' }),
      namedPattern('same-depth', { pattern: '/kubepods/*/*/{container}' }),
    ],
    true,
  );

  it.each([
    ['/system.slice/libvirtd.service', '/system.slice/libvirtd.service', 'service'],
    ['/system.slice/libvirtd.service/qemu/vcpu0', '/system.slice/libvirtd.service', 'service'],
    ['/kubepods/burstable/pod1', '/kubepods/burstable/pod1', 'pod'],
    // The deepest of the patterns, and at one depth the first.
    ['/kubepods/burstable/pod1/abc/init', '/kubepods/burstable/pod1/abc', 'container'],
    // "**": who makes another pod's name within their own cgroup gains nothing by it.
    ['/kubepods/burstable/x/y/pod1/z/pod-of-somebody-else', '/kubepods/burstable/x/y/pod1', 'pod'],
    ['/kubepods/pod1/z/pod2', '/kubepods/pod1/z/pod2', 'same-depth'],
    ['/kubepods/pod1/pod2', '/kubepods/pod1', 'pod'],
    ['/other/thing', '/other/thing', ''],
  ])('of %s is %s', (cgroup, path, name) => {
    expect(scopes.of(cgroup)).toMatchObject({ path, name });
  });

  const ABNORMAL = [
    '/',
    '/a (deleted)',
    '/../x',
    '/..',
    '/a/../b',
    '/a/./b',
    '//a',
    '/a//b',
    '/a/',
    'a',
    '',
    '/a\ufffd',
  ];

  it.each(ABNORMAL)('%j is none, nor lies in one', (cgroup) => {
    expect(isNormal(cgroup)).toBe(false);
    expect(() => scopes.of(cgroup)).toThrow(expect.objectContaining({ code: 'NoScope' }) as DeputyError);
  });

  it('without the fallback, nobody outside the patterns has one', () => {
    expect(() => new Scopes([], false).of('/other/thing')).toThrow(/lies in no scope/);
  });

  it.each([
    ['/a/b', '/a/b', true],
    ['/a/b/c', '/a/b', true],
    ['/a/bc', '/a/b', false],
    ['/a', '/a/b', false],
  ])('%s within %s: %s', (cgroup, scope, within) => {
    expect(isWithin(cgroup, scope)).toBe(within);
  });

  it.each(['toString', 'nonesuch', ''])('there is no preset %j', (preset) => {
    expect(() => namedPattern('p', { preset })).toThrow(ScopePatternError);
  });
});
