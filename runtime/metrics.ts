/**
 * Counters for Prometheus, fed by the audit's records: what was recorded is what is counted. Handed out on the admin
 * socket (`deputyctl metrics`), for a textfile collector; the daemon opens no port.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { AuditTrail } from './audit/trail.ts';
import type { ChainStep } from './chain.ts';
import type { Grants } from './grants.ts';

/** Seconds: a decision takes microseconds, a sweep over many threads milliseconds. */
const SECONDS = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 1];

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter(
    'deputy_requests_total',
    'Requests, by operation and verdict or error code.',
    ['operation', 'verdict'],
  );
  readonly #decisions = this.#counter(
    'deputy_decisions_total',
    'Decisions of plugins. Of those that monitor: what they would have decided.',
    ['plugin', 'mode', 'verdict'],
  );
  readonly #fuel = this.#counter('deputy_decision_fuel_total', 'Fuel that decisions took.', ['plugin']);
  readonly #events = this.#counter('deputy_events_total', 'Events beside the requests, such as starved.', [
    'kind',
  ]);
  readonly #seconds = new Histogram({
    name: 'deputy_request_seconds',
    help: 'From the decoded call to its audit record.',
    labelNames: ['operation'],
    buckets: SECONDS,
    registers: [this.#registry],
  });

  constructor(audit: AuditTrail, grants: Grants, connections: () => number) {
    audit.listen((record) => this.#take(record));
    const gauge = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(read());
        },
      });
    };
    gauge('deputy_connections', 'Connections of clients.', connections);
    gauge('deputy_grants', 'Grants in the ledger.', () => grants.layers().length);
    gauge('deputy_audit_records', 'Number of the last audit record.', () => audit.head.seq);
    gauge('deputy_audit_failing', '1 while audit records cannot be written.', () => Number(audit.failing));
    gauge('deputy_draining', '1 once the daemon is drained.', () => Number(grants.draining));
    gauge('deputy_process_resident_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  }

  /** The exposition format, version 0.0.4. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter(name: string, help: string, labelNames: readonly string[]): Counter {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #take(record: Readonly<Record<string, unknown>>): void {
    const { kind, operation, verdict, latencyUs, steps } = record;
    if (kind !== 'request') {
      this.#events.inc({ kind: String(kind) });
      return;
    }
    const name = (operation as { tag: string }).tag;
    this.#requests.inc({ operation: name, verdict: String(verdict) });
    this.#seconds.observe({ operation: name }, Number(latencyUs) / 1e6);
    for (const step of (steps ?? []) as readonly ChainStep[]) {
      const outcome = step.fault === undefined ? step.verdict : 'fault';
      this.#decisions.inc({ plugin: step.plugin, mode: step.mode, verdict: outcome });
      this.#fuel.inc({ plugin: step.plugin }, Number(step.fuelUsed));
    }
  }
}
