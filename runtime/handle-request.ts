/** The way of a request, from a peer that is known to an effect that is recorded. */
import type { Change } from '../host-api/change.ts';
import type { Effect, Facts } from '../host-api/contract.ts';
import type { CgroupGroup, EffectContext } from '../host-api/effect.ts';
import { DeputyError } from '../host-api/errors.ts';
import type { CgroupFs } from '../host-api/kernel/cgroup-fs.ts';
import { Attempt } from './attempt.ts';
import type { AuditTrail } from './audit/trail.ts';
import type { Caller } from './caller.ts';
import type { RealtimeGuard } from './canary/canary.ts';
import { askChain, type ChainDecision, type Chains } from './chain.ts';
import { type Committed, commit, planEffects } from './commit.ts';
import { takeFacts } from './facts.ts';
import type { Grants } from './grants.ts';
import type { Quota } from './quota.ts';
import type { Request } from './request.ts';
import { closeTarget, type ResolvedTarget, recheckTarget, resolveTarget } from './resolve-target.ts';
import type { Scopes } from './scope.ts';

/** All that a request meets on its way. One for the daemon's whole life. */
export interface Stations {
  readonly scopes: Scopes;
  readonly cgroupFs: CgroupFs | undefined;
  readonly groups: ReadonlyMap<string, CgroupGroup>;
  readonly chains: Chains;
  readonly quota: Quota;
  readonly guard: RealtimeGuard;
  readonly grants: Grants;
  readonly audit: AuditTrail;
}

export interface Granted {
  /** Number of the audit record. */
  readonly id: number;
  readonly plugin: string;
  readonly changes: readonly Change[];
  readonly vanished: readonly number[];
}

/** Decides and does. Throws a DeputyError; then nothing has changed, or the error says what could not be undone. */
export function handleRequest(stations: Stations, caller: Caller, request: Request): Granted {
  const attempt = new Attempt(caller, request, 'request');
  try {
    return grant(stations, caller, request, attempt);
  } catch (error) {
    attempt.failed(error);
    stations.audit.recordRefusal(attempt);
    throw error;
  }
}

function grant(stations: Stations, caller: Caller, request: Request, attempt: Attempt): Granted {
  const { scopes, cgroupFs, groups, chains, quota, grants, audit } = stations;
  const { operation } = request;
  audit.assertWritable();
  grants.assertOpen();
  const scope = attempt.saw('scope', scopes.of(caller.peer.check()));
  const target = attempt.saw('target', resolveTarget(caller.peer, scope, request.target, cgroupFs));
  try {
    const held = grants.heldBy(scope.path, target);
    const facts = attempt.saw('facts', takeFacts(caller.peer, scope, target, operation.tag, held, cgroupFs));
    const decision = attempt.saw(
      'decision',
      askChain(chains[operation.tag], { facts, operation, groups: names(groups) }),
    );
    const { plugin, effects } = allowedBy(decision);
    checkBounds(stations, effects, facts, target);
    quota.take(scope.path, performance.now());
    recheckTarget(target, scope);
    const owner = { scope: scope.path, lease: request.lease ? caller.connection : undefined };
    const context: EffectContext = { cgroupFs, groups };
    const committed = attempt.saw(
      'committed',
      commit(target, effects, context, grants.journal(owner), request),
    );
    const id = confirm(stations, effects, attempt, committed);
    return { id, plugin, changes: committed.changes, vanished: [...target.vanished, ...committed.vanished] };
  } finally {
    closeTarget(target);
  }
}

export interface Explanation {
  readonly scope: string;
  readonly decision: ChainDecision;
  /** What would be changed in the threads that live now; empty where the verdict is a denial. */
  readonly changes: readonly Change[];
}

/** The same way, up to the commit and without it. Throws what the request itself would have thrown until there. */
export function explainRequest(stations: Stations, caller: Caller, request: Request): Explanation {
  const { scopes, cgroupFs, groups, chains, grants, audit } = stations;
  const { operation } = request;
  const attempt = new Attempt(caller, request, 'explain');
  try {
    const scope = attempt.saw('scope', scopes.of(caller.peer.check()));
    const target = attempt.saw('target', resolveTarget(caller.peer, scope, request.target, cgroupFs));
    try {
      const held = grants.heldBy(scope.path, target);
      const facts = attempt.saw(
        'facts',
        takeFacts(caller.peer, scope, target, operation.tag, held, cgroupFs),
      );
      const decision = attempt.saw(
        'decision',
        askChain(chains[operation.tag], { facts, operation, groups: names(groups) }),
      );
      const { verdict } = decision;
      if (verdict.tag === 'deny') return { scope: scope.path, decision, changes: [] };
      checkBounds(stations, verdict.effects, facts, target);
      const changes = planEffects(target, verdict.effects, { cgroupFs, groups }, request);
      return { scope: scope.path, decision, changes };
    } finally {
      closeTarget(target);
    }
  } catch (error) {
    attempt.failed(error);
    throw error;
  } finally {
    audit.recordRefusal(attempt);
  }
}

/** What holds whatever a policy allows. Throws QuotaExceeded or NotSupported. */
function checkBounds(
  { guard, quota }: Stations,
  effects: readonly Effect[],
  facts: Facts,
  target: ResolvedTarget,
): void {
  guard.check(effects);
  quota.checkHoldings(effects, facts);
  quota.checkRttime(effects, target.process);
}

function allowedBy({ verdict }: ChainDecision): { plugin: string; effects: Parameters<typeof commit>[1] } {
  if (verdict.tag === 'allow') return verdict;
  throw new DeputyError(verdict.fault ? 'PluginFault' : 'Denied', verdict.reason, { plugin: verdict.plugin });
}

/** The guard, the record and the ledger are part of the transaction: without any, what was done is undone. */
function confirm(
  { guard, audit }: Stations,
  effects: readonly Effect[],
  attempt: Attempt,
  committed: Committed,
): number {
  const undo = (error: unknown): never => {
    attempt.undone(committed.undo());
    throw error;
  };
  let id: number;
  try {
    // They may have starved the machine, and be demoted in part, before the last of them was made.
    guard.check(effects);
    id = audit.recordGrant(attempt);
  } catch (error) {
    return undo(error);
  }
  try {
    committed.confirm();
  } catch (error) {
    return undo(
      new DeputyError('LedgerUnavailable', `the ledger can't be written, the effects were undone: ${error}`),
    );
  }
  return id;
}

function names(groups: ReadonlyMap<string, CgroupGroup>): ReadonlySet<string> {
  return new Set(groups.keys());
}
