import { describe, expect, it } from 'vitest';
import { isWithin, namedPattern, SCOPE_PRESETS, Scopes } from '../../runtime/scope.ts';
import { parseScopePattern, type ScopePatternError } from '../../runtime/scope-pattern.ts';

const POD = '0f3c8a52_9d1e_4c0b_8a6e_2f1f6f0b7c11';
const ID = '3f6c1e0d5a7b9c2d4e6f8a0b1c3d5e7f9a1b3c5d7e9f0a2b4c6d8e0f1a3b5c7d';

describe('scope patterns', () => {
  it.each<[string, string, Record<string, string> | undefined]>([
    [
      'kubernetes-systemd',
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${POD}.slice/cri-containerd-${ID}.scope`,
      { qos: 'burstable', pod: POD, container: `cri-containerd-${ID}` },
    ],
    ['kubernetes-systemd', `/kubepods.slice/kubepods-pod${POD}.slice/crio-${ID}.scope`, undefined],
    [
      'kubernetes-systemd-guaranteed',
      `/kubepods.slice/kubepods-pod${POD}.slice/crio-${ID}.scope`,
      { pod: POD, container: `crio-${ID}` },
    ],
    [
      'kubernetes-cgroupfs',
      `/kubepods/besteffort/pod0f3c8a52-9d1e/${ID}`,
      { qos: 'besteffort', pod: '0f3c8a52-9d1e', container: ID },
    ],
    [
      'kubernetes-cgroupfs-guaranteed',
      `/kubepods/pod0f3c8a52-9d1e/${ID}`,
      { pod: '0f3c8a52-9d1e', container: ID },
    ],
    ['systemd-service', '/system.slice/libvirtd.service', { unit: 'libvirtd' }],
    [
      'systemd-user-unit',
      '/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-jack-99.scope',
      { uid: '1000', slice: 'app', unit: 'app-gnome-jack-99.scope' },
    ],
    ['systemd-session', '/user.slice/user-1000.slice/session-3.scope', { uid: '1000', session: '3' }],
    ['libvirt-machine', '/machine.slice/machine-qemu\\x2d1\\x2dvm.scope', { machine: 'qemu\\x2d1\\x2dvm' }],
  ])('preset %s on %s', (preset, path, captures) => {
    const match = namedPattern('p', { preset }).pattern.match(path);
    expect(match === undefined ? undefined : Object.fromEntries([...match].sort())).toEqual(
      captures && Object.fromEntries(Object.entries(captures).sort()),
    );
  });

  it('has presets that all parse', () => {
    for (const preset of Object.keys(SCOPE_PRESETS))
      expect(() => namedPattern('p', { preset })).not.toThrow();
  });

  it.each<[string, string, Record<string, string> | undefined]>([
    ['/a/{x}', '/a/b', { x: 'b' }],
    ['/a/{x}', '/a/', undefined],
    ['/a/{x}', '/a/b/c', undefined],
    ['/a/{x}', '/a', undefined],
    ['/a/pod{x}', '/a/pod', undefined],
    ['/**/pod{x}', '/a/b/c/pod1', { x: '1' }],
    ['/**/pod{x}', '/pod1', { x: '1' }],
    ['/a/**/b', '/a/b', {}],
    ['/a/**/b/**/c', '/a/x/b/y/b/z/c', {}],
    ['/{x}-{y}.slice', '/a-b-c.slice', { x: 'a', y: 'b-c' }],
    ['/{x}.slice', '/.slice', undefined],
    ['/*.slice', '/.slice', {}],
    ['/a*b', '/ab', {}],
    ['/a*b', '/aXbX', undefined],
    ['/{x}ab', '/aab', { x: 'a' }],
    ['/{x}ab', '/ab', undefined],
  ])('%s on %s', (pattern, path, captures) => {
    const match = parseScopePattern(pattern).match(path);
    expect(match && Object.fromEntries(match)).toEqual(captures);
  });

  it.each<[string, RegExp, number]>([
    ['a', /begins with "\/"/, 1],
    ['/', /root cgroup is never a scope/, 1],
    ['/**', /every cgroup a scope/, 1],
    ['/a/**', /can't be last/, 4],
    ['/a//b', /"" is no name/, 4],
    ['/a/../b', /"\.\." is no name/, 4],
    ['/a/{x', /"\{" without its counterpart/, 4],
    ['/a/x}', /"\}" without its counterpart/, 5],
    ['/a/{X}', /"X" is no name of a label/, 4],
    ['/{x}/{x}', /label x is there twice/, 6],
    ['/{x}{y}', /two wildcards side by side/, 5],
    ['/{x}*', /two wildcards side by side/, 5],
  ])('refuses %s', (pattern, message, column) => {
    const attempt = () => parseScopePattern(pattern);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ column }) as ScopePatternError);
  });

  it('is not slow on a path made to be', () => {
    const pattern = parseScopePattern('/**/a*a*a*a*a*b/**/a*a*a*a*b/**/{x}c');
    const path = `/${Array.from({ length: 60 }, () => 'a'.repeat(60)).join('/')}`;
    // With backtracking this never ends; the test's own timeout is the check.
    expect(pattern.match(path)).toBeUndefined();
  });
});

describe('the scope of a cgroup', () => {
  const scopes = new Scopes(
    [
      namedPattern('service', { preset: 'systemd-service' }),
      namedPattern('pod', { pattern: '/kubepods/**/pod{pod}' }),
      namedPattern('container', { pattern: '/kubepods/**/pod{pod}/{container}' }),
    ],
    true,
  );

  it.each([
    ['/system.slice/libvirtd.service', '/system.slice/libvirtd.service', 'service'],
    ['/system.slice/libvirtd.service/qemu/vcpu0', '/system.slice/libvirtd.service', 'service'],
    ['/kubepods/burstable/pod1/abc/init', '/kubepods/burstable/pod1/abc', 'container'],
    ['/kubepods/burstable/pod1', '/kubepods/burstable/pod1', 'pod'],
    ['/other/thing', '/other/thing', ''],
  ])('of %s is %s', (cgroup, path, name) => {
    expect(scopes.of(cgroup)).toMatchObject({ path, name });
  });

  it.each(['/', '/a (deleted)', '/../x', '/a/../b', '//a', 'a', ''])('%j is none', (cgroup) => {
    expect(() => scopes.of(cgroup)).toThrow(expect.objectContaining({ code: 'NoScope' }) as Error);
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
});
