/** What one request met on its way, gathered for its audit record. One record an attempt, whatever became of it. */

import type { Facts } from '../host-api/contract.ts';
import { DeputyError } from '../host-api/errors.ts';
import type { Caller } from './caller.ts';
import type { ChainDecision } from './chain.ts';
import type { Committed, Undone } from './commit.ts';
import type { Request } from './request.ts';
import type { ResolvedTarget } from './resolve-target.ts';
import type { Scope } from './scope.ts';

interface Seen {
  readonly scope: Scope;
  readonly target: ResolvedTarget;
  readonly facts: Facts;
  readonly decision: ChainDecision;
  readonly committed: Committed;
}

export class Attempt {
  readonly kind: 'request' | 'explain';
  readonly #caller: Caller;
  readonly #request: Request;
  readonly #startMs = performance.now();
  readonly #seen: { -readonly [Key in keyof Seen]?: Seen[Key] } = {};
  #error: { code: string; message: string } | undefined;
  #undone: readonly Undone[] | undefined;

  constructor(caller: Caller, request: Request, kind: Attempt['kind']) {
    this.#caller = caller;
    this.#request = request;
    this.kind = kind;
  }

  /** Notes what a stage found, and hands it on. */
  saw<Stage extends keyof Seen>(stage: Stage, value: Seen[Stage]): Seen[Stage] {
    this.#seen[stage] = value;
    return value;
  }

  failed(error: unknown): void {
    this.#error =
      error instanceof DeputyError
        ? { code: error.code, message: error.message }
        : { code: 'Internal', message: error instanceof Error ? error.message : String(error) };
  }

  undone(undone: readonly Undone[]): void {
    this.#undone = undone;
  }

  get granted(): boolean {
    return this.#error === undefined && this.#seen.committed !== undefined;
  }

  /** For the log: who, what, verdict, reason. */
  get summary(): {
    operation: string;
    uid: number;
    pid: number;
    scope: string | undefined;
    verdict: string;
    reason: string | undefined;
  } {
    return {
      operation: this.#request.operation.tag,
      uid: this.#caller.peer.uid,
      pid: this.#caller.peer.process.pid,
      scope: this.#seen.scope?.path,
      verdict: this.#verdict,
      reason: this.#error?.message,
    };
  }

  get #verdict(): string {
    return this.#error?.code ?? this.#seen.decision?.verdict.tag ?? 'none';
  }

  /** Plain data: facts and operation are complete, so that the decision can be made again from the record alone. */
  record(): Record<string, unknown> {
    const { peer, connection } = this.#caller;
    const { scope, target, facts, decision, committed } = this.#seen;
    return {
      kind: this.kind,
      verdict: this.#verdict,
      error: this.#error,
      peer: {
        uid: peer.uid,
        gid: peer.gid,
        pid: peer.process.pid,
        startTimeTicks: peer.process.startTimeTicks,
        pidfdFromSocket: peer.pidfdFromSocket,
        connection,
      },
      scope,
      operation: this.#request.operation,
      lease: this.#request.lease,
      atLeast: this.#request.atLeast,
      asked: this.#request.target,
      target: target && {
        pid: target.process.pid,
        startTimeTicks: target.process.startTimeTicks,
        addressed: target.addressed,
        vanished: target.vanished,
      },
      facts,
      steps: decision?.steps,
      plugin: decision?.verdict.plugin,
      changes: committed?.changes,
      vanished: committed?.vanished,
      undone: this.#undone,
      latencyUs: Math.round((performance.now() - this.#startMs) * 1000),
    };
  }
}
