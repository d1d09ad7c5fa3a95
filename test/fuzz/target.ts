import type * as fc from 'fast-check';

/** Something that takes bytes from strangers. */
export interface Target {
  readonly name: string;
  /** Inputs, always as bytes, so that each can be kept in a file. */
  readonly inputs: fc.Arbitrary<Uint8Array>;
  /** Throws where a property does not hold. Whatever else it throws is a finding too. */
  readonly check: (input: Uint8Array) => void | Promise<void>;
  readonly close?: () => void | Promise<void>;
}

export const TARGETS = ['meter', 'differential', 'abi', 'varlink', 'config'] as const;
export type TargetName = (typeof TARGETS)[number];

export async function openTarget(name: TargetName): Promise<Target> {
  const module: { open: () => Target | Promise<Target> } = await import(`./targets/${name}.ts`);
  return module.open();
}

/** A property that must hold. */
export function demand(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}
