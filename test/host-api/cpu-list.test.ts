import { describe, expect, it } from 'vitest';
import { formatCpuList, parseCpuList } from '../../host-api/cpu-list.ts';

describe('CPU lists', () => {
  it.each([
    ['', []],
    ['0', [0]],
    ['0-3,8', [0, 1, 2, 3, 8]],
    ['8,0-1,1-2', [0, 1, 2, 8]],
    ['8191', [8191]],
    [' 0-1\n', [0, 1]],
  ])('reads %j', (text, cpus) => {
    expect(parseCpuList(text)).toEqual(cpus);
  });

  it.each([
    ['3-1', /runs backwards/],
    ['8192', /CPU 8192 is not within 0 to 8191/],
    ['0-99999', /99999/],
    ['a', /"a" is no CPU/],
    ['1,,2', /"" is no CPU/],
    ['-1', /"-1" is no CPU/],
  ])('refuses %j', (text, message) => {
    expect(() => parseCpuList(text)).toThrow(message);
  });

  it.each([[[]], [[0]], [[0, 1, 2, 5]], [[1, 3, 5]], [[0, 2, 3]]])(
    'writes %j so that it reads back',
    (cpus) => {
      expect(parseCpuList(formatCpuList(cpus))).toEqual(cpus);
    },
  );
});
