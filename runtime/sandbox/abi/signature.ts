import { type CoreType, layout, recordLayout } from './layout.ts';
import type { Shape, Type } from './type.ts';

/** Canonical ABI: more flat parameters or results than these go through memory. */
export const MAX_FLAT_PARAMS = 16;
export const MAX_FLAT_RESULTS = 1;

/** A function of the contract. Parameter names in camel case. */
export interface Func<P extends object = object, R = unknown> {
  readonly params: readonly { readonly name: string; readonly of: Shape }[];
  readonly result: Shape | undefined;
  /** Never there: carries the TypeScript type. */
  readonly type?: (...args: never) => [P, R];
}

export function func<P extends object>(
  params: {
    readonly [K in keyof P]-?: Type<P[K]>;
  },
): Func<P, undefined>;
export function func<P extends object, R>(
  params: { readonly [K in keyof P]-?: Type<P[K]> },
  result: Type<R>,
): Func<P, R>;
export function func(params: Readonly<Record<string, Shape>>, result?: Shape): Func {
  return { params: Object.entries(params).map(([name, of]) => ({ name, of })), result };
}

/** The TypeScript function that implements `F`: one object of parameters in, the result out. */
export type Call<F> = F extends Func<infer P, infer R> ? (params: P) => R : never;

export interface Signature {
  readonly params: readonly CoreType[];
  readonly results: readonly CoreType[];
}

/** As the guest imports it: a result that doesn't fit is stored where the last parameter points. */
export function importSignature(one: Func): Signature {
  const { params, results } = flatten(one);
  return results.length > MAX_FLAT_RESULTS
    ? { params: [...params, 'i32'], results: [] }
    : { params, results };
}

/** As the guest exports it: a result that doesn't fit comes back as a pointer. */
export function exportSignature(one: Func): Signature {
  const { params, results } = flatten(one);
  return { params, results: results.length > MAX_FLAT_RESULTS ? ['i32'] : results };
}

export function signatureText({
  params,
  results,
}: {
  readonly params: readonly string[];
  readonly results: readonly string[];
}): string {
  return `(${params.join(', ')}) -> (${results.join(', ')})`;
}

function flatten(one: Func): Signature {
  const params = recordLayout(one.params.map((param) => param.of)).whole.flat;
  const results = one.result === undefined ? [] : layout(one.result).flat;
  // The contract has no such function, and passing parameters through memory is not implemented.
  if (params.length > MAX_FLAT_PARAMS) throw new Error(`${params.length} flat parameters`);
  return { params, results };
}
