import { describe, expect, it } from 'vitest';
import { layout, payloadOffset } from '../../../../runtime/sandbox/abi/layout.ts';
import {
  bool,
  enumeration,
  failure,
  list,
  option,
  string,
  u32,
  u64,
} from '../../../../runtime/sandbox/abi/type.ts';
import * as world from '../../../../runtime/sandbox/abi/world.ts';

/** Size, alignment and flat types, worked out by hand from the specification. */
const TABLE = [
  ['bool', bool, 1, 1, 'i32'],
  ['u64', u64, 8, 8, 'i64'],
  ['string', string, 8, 4, 'i32 i32'],
  ['list<u32>', list(u32), 8, 4, 'i32 i32'],
  ['option<u32>', option(u32), 8, 4, 'i32 i32'],
  ['option<u64>', option(u64), 16, 8, 'i32 i64'],
  ['option<string>', option(string), 12, 4, 'i32 i32 i32'],
  ['result<_, string>', failure(string), 12, 4, 'i32 i32 i32'],
  ['result<_, refusal>', failure(world.refusal), 16, 4, 'i32 i32 i32 i32'],
  ['limit', world.limit, 16, 8, 'i32 i64'],
  ['memlock', world.memlock, 32, 8, 'i32 i64 i32 i64'],
  ['scheduling-policy', world.schedulingPolicy, 1, 1, 'i32'],
  ['scheduling', world.scheduling, 32, 4, 'i32 i32 i32 i32 i32 i32 i32 i32 i32'],
  ['thread', world.thread, 40, 4, 'i32 i32 i32 i32 i32 i32 i32 i32 i32 i32'],
  ['label', world.label, 16, 4, 'i32 i32 i32 i32'],
  ['thread-selection', world.threadSelection, 12, 4, 'i32 i32 i32'],
  ['operation', world.operation, 40, 8, 'i32 i32 i64 i32 i64 i32 i32 i32 i32 i32'],
  ['verdict', world.verdict, 12, 4, 'i32 i32 i32'],
  ['refusal', world.refusal, 12, 4, 'i32 i32 i32'],
  [
    'enum of 257',
    enumeration(
      'wide',
      Array.from({ length: 257 }, (_, index) => `c${index}`),
    ),
    2,
    2,
    'i32',
  ],
] as const;

describe('layout', () => {
  it.each(TABLE)('of %s', (_name, shape, size, align, flat) => {
    expect(layout(shape)).toEqual({ size, align, flat: flat.split(' ') });
  });

  it('puts a payload behind its tag, aligned', () => {
    expect(payloadOffset([undefined, u64])).toBe(8);
    expect(payloadOffset([undefined, string])).toBe(4);
    expect(payloadOffset([undefined, bool])).toBe(1);
  });
});
