import type { Account } from '../abi/account.ts';
import { COSTS } from '../abi/costs.ts';
import { byteLength, MAX_LIST_ELEMENTS, MAX_STRING_BYTES } from '../abi/guest.ts';
import type { Shape } from '../abi/type.ts';

/**
 * A value that generated code handed over, checked against its descriptor and copied, or a fault of kind `abi`. The
 * code converts where it should refuse (a number too large wraps, a string may have 70 MB), so nothing of it is taken
 * on trust. Owes the fuel that lifting the same value natively costs.
 */
export function conform(shape: Shape, value: unknown, account: Account): unknown {
  switch (shape.kind) {
    case 'bool':
      return typeof value === 'boolean' ? value : mismatch(shape, value, account);
    case 'u32':
      return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff_ffff
        ? value
        : mismatch(shape, value, account);
    case 's32':
      return Number.isInteger(value) && (Number(value) | 0) === value
        ? value
        : mismatch(shape, value, account);
    case 'u64':
      return typeof value === 'bigint' && BigInt.asUintN(64, value) === value
        ? value
        : mismatch(shape, value, account);
    case 'string': {
      if (typeof value !== 'string') return mismatch(shape, value, account);
      // No more code units than bytes: cheap to ask before the bytes are counted.
      const size = value.length > MAX_STRING_BYTES ? value.length : byteLength(value);
      if (size > MAX_STRING_BYTES) {
        account.fail('abi', `a string of ${size} bytes exceeds the ${MAX_STRING_BYTES} that the host takes`);
      }
      account.owe(COSTS.string + size * COSTS.byte);
      return value;
    }
    case 'list': {
      if (!Array.isArray(value) && !ArrayBuffer.isView(value)) return mismatch(shape, value, account);
      const elements = value as ArrayLike<unknown>;
      if (elements.length > MAX_LIST_ELEMENTS) {
        account.fail(
          'abi',
          `a list of ${elements.length} elements exceeds the ${MAX_LIST_ELEMENTS} that the host takes`,
        );
      }
      account.charge(COSTS.list + elements.length * COSTS.element);
      return Array.from(elements, (element) => conform(shape.of, element, account));
    }
    case 'enum':
      return typeof value === 'string' && shape.cases.includes(value)
        ? value
        : mismatch(shape, value, account);
    case 'option':
    case 'failure':
      return value === undefined || value === null ? undefined : conform(shape.of, value, account);
    case 'record': {
      if (typeof value !== 'object' || value === null) return mismatch(shape, value, account);
      const members = value as Readonly<Record<string, unknown>>;
      return Object.fromEntries(
        shape.fields.map((field) => [field.key, conform(field.of, members[field.key], account)]),
      );
    }
    case 'variant': {
      if (typeof value !== 'object' || value === null) return mismatch(shape, value, account);
      const { tag, val } = value as { readonly tag?: unknown; readonly val?: unknown };
      const one = shape.cases.find((candidate) => candidate.name === tag);
      if (one === undefined) return mismatch(shape, tag, account);
      return one.of === undefined ? { tag } : { tag, val: conform(one.of, val, account) };
    }
  }
}

/** Owes the fuel that lowering a value of the host's natively costs. */
export function weigh(shape: Shape, value: unknown, account: Account): void {
  switch (shape.kind) {
    case 'string':
      account.owe(COSTS.string + byteLength(value as string) * COSTS.byte);
      return;
    case 'list': {
      const elements = value as readonly unknown[];
      account.owe(COSTS.list + elements.length * COSTS.element);
      for (const element of elements) weigh(shape.of, element, account);
      return;
    }
    case 'option':
    case 'failure':
      if (value !== undefined) weigh(shape.of, value, account);
      return;
    case 'record': {
      const members = value as Readonly<Record<string, unknown>>;
      for (const field of shape.fields) weigh(field.of, members[field.key], account);
      return;
    }
    case 'variant': {
      const { tag, val } = value as { readonly tag: string; readonly val?: unknown };
      const payload = shape.cases.find((one) => one.name === tag)?.of;
      if (payload !== undefined) weigh(payload, val, account);
      return;
    }
    default:
      return;
  }
}

function mismatch(shape: Shape, value: unknown, account: Account): never {
  const name = 'name' in shape ? shape.name : shape.kind;
  return account.fail('abi', `${typeof value} is no ${name}`);
}
