/**
 * The plugins bound to one operation, asked in order. The first that doesn't pass decides; the end of the chain is a
 * denial. A fault is a denial too, and ends the chain: asking on after a trap would let a broken deny become an allow.
 */
import type { Effect, OperationName, Refusal, Verdict } from '../host-api/contract.ts';
import type { Decision, DecisionInput, Plugin } from './sandbox/seam.ts';

export interface ChainLink {
  readonly plugin: Plugin;
  readonly mode: 'enforce' | 'monitor';
  readonly ceilings: DecisionInput['ceilings'];
}

export type Chains = Readonly<Record<OperationName, readonly ChainLink[]>>;

/** What one plugin said, as the audit and `Explain` show it. */
export interface ChainStep {
  readonly plugin: string;
  readonly sha256: string;
  readonly mode: 'enforce' | 'monitor';
  readonly verdict: Verdict['tag'];
  /** Of a denial, or of the fault. */
  readonly reason: string | undefined;
  readonly fault: NonNullable<Decision['fault']>['kind'] | undefined;
  readonly factsRead: readonly string[];
  readonly refusals: readonly Refusal[];
  readonly effects: readonly Effect[];
  readonly log: Decision['log'];
  readonly fuelUsed: bigint;
}

export type ChainVerdict =
  | { readonly tag: 'allow'; readonly plugin: string; readonly effects: readonly Effect[] }
  | {
      readonly tag: 'deny';
      readonly plugin: string | undefined;
      readonly reason: string;
      readonly fault: boolean;
    };

export interface ChainDecision {
  readonly verdict: ChainVerdict;
  readonly steps: readonly ChainStep[];
}

export function askChain(links: readonly ChainLink[], input: Omit<DecisionInput, 'ceilings'>): ChainDecision {
  const steps: ChainStep[] = [];
  let verdict: ChainVerdict | undefined;
  for (const link of links) {
    // What stands behind the deciding plugin is only asked where it watches: monitors see every request.
    if (verdict !== undefined && link.mode === 'enforce') continue;
    const decision = link.plugin.decide({ ...input, ceilings: link.ceilings });
    const step = stepOf(link, decision);
    steps.push(step);
    if (link.mode === 'enforce') verdict = verdictOf(step);
  }
  return { verdict: verdict ?? endOfChain(links, steps, input.operation.tag), steps };
}

function stepOf({ plugin, mode }: ChainLink, decision: Decision): ChainStep {
  const { verdict, fault } = decision;
  // An allow that stages nothing grants nothing, and the caller would take it for a grant.
  const empty = verdict.tag === 'allow' && decision.effects.length === 0;
  return {
    plugin: plugin.name,
    sha256: plugin.sha256,
    mode,
    verdict: empty ? 'deny' : verdict.tag,
    reason: empty ? emptyAllow(decision.refusals) : verdict.tag === 'deny' ? verdict.val : undefined,
    fault: fault?.kind,
    factsRead: decision.factsRead,
    refusals: decision.refusals,
    effects: decision.effects,
    log: decision.log,
    fuelUsed: decision.fuelUsed,
  };
}

function emptyAllow(refusals: readonly Refusal[]): string {
  const last = refusals.at(-1);
  return last === undefined
    ? 'the plugin allowed the request and staged no effect'
    : `the plugin allowed the request, but its effect was refused: ${last.message}`;
}

function verdictOf(step: ChainStep): ChainVerdict | undefined {
  switch (step.verdict) {
    case 'allow':
      return { tag: 'allow', plugin: step.plugin, effects: step.effects };
    case 'deny':
      return { tag: 'deny', plugin: step.plugin, reason: step.reason ?? '', fault: step.fault !== undefined };
    case 'pass':
      return undefined;
  }
}

function endOfChain(
  links: readonly ChainLink[],
  steps: readonly ChainStep[],
  operation: OperationName,
): ChainVerdict {
  const watcher = steps.find(({ mode, verdict }) => mode === 'monitor' && verdict === 'allow');
  const reason =
    links.length === 0
      ? `no plugin is bound to ${operation}`
      : watcher !== undefined
        ? `no enforcing plugin allows it; ${watcher.plugin} would, but only monitors`
        : `no plugin on the chain of ${operation} decides it`;
  return { tag: 'deny', plugin: undefined, reason, fault: false };
}
