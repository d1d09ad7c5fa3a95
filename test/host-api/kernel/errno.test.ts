import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../host-api/kernel/errno.ts';

describe('KernelError', () => {
  // Some numbers have two names, and the code compares with one of them.
  it.each<[number, string]>([
    [11, 'EAGAIN'],
    [95, 'EOPNOTSUPP'],
    [3, 'ESRCH'],
    [4095, 'errno 4095'],
  ])('calls %i %s', (errno, code) => {
    expect(new KernelError('flock', errno, 'x').code).toBe(code);
  });
});
