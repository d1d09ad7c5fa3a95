import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseScopePattern, type ScopePatternError } from '../../runtime/scope-pattern.ts';

describe('a scope pattern', () => {
  it.each<[string, string, Record<string, string> | undefined]>([
    ['/a/{x}', '/a/b', { x: 'b' }],
    ['/a/{x}', '/a/', undefined],
    ['/a/{x}', '/a/b/c', undefined],
    ['/a/{x}', '/a', undefined],
    ['/a/{x}', '/b/b', undefined],
    ['/a/{x}', 'a/b', undefined],
    ['/a/{x}', '/', undefined],
    ['/a/{x}', '', undefined],
    ['/a/pod{x}', '/a/pod', undefined],
    ['/**/pod{x}', '/a/b/c/pod1', { x: '1' }],
    ['/**/pod{x}', '/pod1', { x: '1' }],
    ['/**/pod{x}', '/pod1/a', undefined],
    ['/a/**/b', '/a/b', {}],
    ['/a/**/b', '/a/x/y/b', {}],
    ['/a/**/b', '/a', undefined],
    ['/a/**/a', '/a', undefined],
    ['/a/**/{x}/{y}', '/a/1/2/3', { x: '2', y: '3' }],
    // A wildcard that is not the last ends where the character after it first occurs.
    ['/{x}-{y}.slice', '/a-b-c.slice', { x: 'a', y: 'b-c' }],
    ['/{x}-pod{y}', '/a-b-pod1', undefined],
    ['/*-pod{y}', '/a-pod1-pod2', { y: '1-pod2' }],
    // The last one takes what the text after it leaves.
    ['/{x}.service', '/a.service.service', { x: 'a.service' }],
    ['/{x}.slice', '/.slice', undefined],
    ['/*.slice', '/.slice', {}],
    ['/a*b', '/ab', {}],
    ['/a*b', '/aXbX', undefined],
    ['/{x}ab', '/aab', { x: 'a' }],
    ['/{x}ab', '/ab', undefined],
    ['/aba{x}ba', '/aba', undefined],
    ['/*', '/a b (c)', {}],
    ['/{x}é{y}', '/😀é\\x2d', { x: '😀', y: '\\x2d' }],
    ['/{x:number}', '/1000', { x: '1000' }],
    ['/{x:number}', '/1000a', undefined],
    ['/{x:number}', '/١', undefined],
    ['/{x:hex}', '/0aF', undefined],
    ['/{x:hex}', '/0af', { x: '0af' }],
    ['/{x:id}', '/0f3c8a52-9d1e_4c0b', { x: '0f3c8a52-9d1e_4c0b' }],
    ['/{x:hex}', '/0af\n', undefined],
    // Regular expressions mean nothing here.
    ['/a.c', '/abc', undefined],
    ['/(a|b)+', '/(a|b)+', {}],
  ])('%s on %j', (pattern, path, captures) => {
    const match = parseScopePattern(pattern).match(path);
    expect(match && Object.fromEntries(match)).toEqual(captures);
  });

  it.each<[string, RegExp, number]>([
    ['', /begins with "\/"/, 1],
    ['a', /begins with "\/"/, 1],
    ['/', /root cgroup is never a scope/, 1],
    ['/**', /can't be last/, 2],
    ['/a/**', /can't be last/, 4],
    ['/a/**/b/**/c', /a second "\*\*"/, 9],
    ['/**/**/c', /a second "\*\*"/, 5],
    ['/a/b**', /"\*\*" must be a whole segment/, 6],
    ['/a//b', /"" is no name/, 4],
    ['/a/', /"" is no name/, 4],
    ['/a/../b', /"\.\." is no name/, 4],
    ['/a/./b', /"\." is no name/, 4],
    ['/a/{x', /"\{" without its counterpart/, 4],
    ['/a/x}', /"\}" without its counterpart/, 5],
    ['/a/{{x}', /"\{" without its counterpart/, 4],
    ['/a/{}', /"" is no name of a label/, 4],
    ['/a/{X}', /"X" is no name of a label/, 4],
    ['/a/{1x}', /"1x" is no name of a label/, 4],
    [`/a/{${'x'.repeat(33)}}`, /is no name of a label/, 4],
    ['/a/{x:uuid}', /"uuid" is no class of characters; there are number, hex, id/, 4],
    ['/a/{x:hex:id}', /"hex:id" is no class/, 4],
    ['/a/{x:constructor}', /"constructor" is no class/, 4],
    ['/{x}/{x}', /label x is there twice/, 6],
    ['/{x}{y}', /two wildcards side by side/, 5],
    ['/{x}*', /two wildcards side by side/, 5],
    ['/a*{x}', /two wildcards side by side/, 4],
  ])('%j is refused', (pattern, message, column) => {
    const attempt = () => parseScopePattern(pattern);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ column }) as ScopePatternError);
  });

  const name = fc.string({ unit: fc.constantFrom('a', 'b', '-', '.', 'é'), minLength: 1, maxLength: 6 });

  it('matches each path that is made by filling it in, with what was filled in', () => {
    const plain = fc.string({ unit: fc.constantFrom('a', 'b', 'é'), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(plain, plain, fc.array(plain, { maxLength: 4 }), name, (x, y, deep, z) => {
        const pattern = parseScopePattern('/top/k-{x}-{y}.slice/**/{z}');
        const path = ['/top', `k-${x}-${y}.slice`, ...deep, z].join('/');
        expect(Object.fromEntries(pattern.match(path) ?? [])).toEqual({ x, y, z });
      }),
    );
  });

  it('captures nothing empty and nothing with a slash, whatever it is shown', () => {
    const pattern = parseScopePattern('/a/**/{x}-*.{y}/b{z}.');
    const text = fc.string({ unit: fc.constantFrom('/', 'a', 'b', '-', '.', '\u0000', '�'), maxLength: 24 });
    fc.assert(
      fc.property(text, (path) => {
        for (const value of pattern.match(`/a/${path}`)?.values() ?? []) expect(value).toMatch(/^[^/]+$/s);
      }),
    );
  });

  it('ends on a path that would send a backtracking matcher astray', () => {
    const pattern = parseScopePattern('/**/a*a*a*a*a*a*a*a*a*b/a*a*a*a*a*a*a*a*b/{x}c');
    const path = `/${Array.from({ length: 60 }, () => 'a'.repeat(2000)).join('/')}`;
    expect(pattern.match(path)).toBeUndefined();
  });
});
