/**
 * Descriptors of the component model's types, as far as the contract uses them (Canonical ABI,
 * https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md).
 * Each carries its TypeScript type, so that `tsc` proves that a descriptor and `host-api/contract.ts` agree; a test
 * proves that descriptor and WIT agree.
 */

declare const carried: unique symbol;

/** What layout, lifting and lowering see. Field and case names are in WIT form (kebab case). */
export type Shape =
  | { readonly kind: 'bool' | 'u32' | 's32' | 'u64' | 'string' }
  | { readonly kind: 'list' | 'option'; readonly of: Shape }
  /** `result<_, E>`: nothing or an error, in TypeScript `E | undefined`. */
  | { readonly kind: 'failure'; readonly of: Shape }
  | { readonly kind: 'enum'; readonly name: string; readonly cases: readonly string[] }
  | { readonly kind: 'record'; readonly name: string; readonly fields: readonly Field[] }
  | { readonly kind: 'variant'; readonly name: string; readonly cases: readonly Case[] };

export interface Field {
  /** In camel case, as TypeScript has it. */
  readonly key: string;
  readonly name: string;
  readonly of: Shape;
}

export interface Case {
  readonly name: string;
  readonly of: Shape | undefined;
}

/** Invariant in `T`: a descriptor of a narrower or a wider type is no substitute. */
export type Type<T> = Shape & { readonly [carried]: (value: T) => T };

function typed<T>(shape: Shape): Type<T> {
  return shape as Type<T>;
}

export const bool = typed<boolean>({ kind: 'bool' });
export const u32 = typed<number>({ kind: 'u32' });
export const s32 = typed<number>({ kind: 's32' });
export const u64 = typed<bigint>({ kind: 'u64' });
export const string = typed<string>({ kind: 'string' });

export function list<T>(of: Type<T>): Type<readonly T[]> {
  return typed({ kind: 'list', of });
}

/** `T` must not itself contain `undefined`, which stands for none. */
export function option<T extends {}>(of: Type<T>): Type<T | undefined> {
  return typed({ kind: 'option', of });
}

/** `result<_, E>`. */
export function failure<E extends {}>(of: Type<E>): Type<E | undefined> {
  return typed({ kind: 'failure', of });
}

export function enumeration<T extends string>(name: string, cases: readonly T[]): Type<T> {
  return typed({ kind: 'enum', name, cases });
}

/** `fields` in the order of the WIT. */
export function record<T extends object>(
  name: string,
  fields: { readonly [K in keyof T]-?: Type<T[K]> },
): Type<T> {
  const entries = Object.entries<Shape>(fields);
  return typed({
    kind: 'record',
    name,
    fields: entries.map(([key, of]) => ({ key, name: kebab(key), of })),
  });
}

/** `cases` in the order of the WIT; `undefined` for a case without a payload. */
export function variant<T extends { readonly tag: string; readonly val?: unknown }>(
  name: string,
  cases: {
    readonly [K in T['tag']]: Extract<T, { readonly tag: K }> extends { readonly val: infer V }
      ? Type<V>
      : undefined;
  },
): Type<T> {
  const entries = Object.entries<Shape | undefined>(cases);
  return typed({ kind: 'variant', name, cases: entries.map(([key, of]) => ({ name: key, of })) });
}

/** "commUntrusted" → "comm-untrusted". */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
