/** io.deputy.Admin: the operator's view of the daemon. */
import type { Logger } from 'pino';
import type { Change } from '../../host-api/change.ts';
import { DeputyError } from '../../host-api/errors.ts';
import type { AuditTrail } from '../audit/trail.ts';
import type { Caller } from '../caller.ts';
import type { ChainLink, Chains } from '../chain.ts';
import type { Grants } from '../grants.ts';
import type { Layer } from '../ledger/layers.ts';
import type { Metrics } from '../metrics.ts';
import type { Plugin } from '../sandbox/seam.ts';
import {
  invalidParameter,
  type Method,
  type Parameters,
  VarlinkError,
  type VarlinkInterface,
} from '../varlink/service.ts';
import { VERSION } from '../version.ts';
import { ADMIN, ADMIN_VERSION } from './admin-interface.ts';
import { monitor } from './monitor.ts';
import { precheckVersion } from './precheck-version.ts';
import { writeChanges } from './write-outcome.ts';

/** What the operator may see and stop. */
export interface AdminStations {
  readonly chains: Chains;
  readonly plugins: ReadonlyMap<string, Plugin>;
  readonly grants: Grants;
  readonly audit: AuditTrail;
  readonly metrics: Metrics;
  connections(): number;
}

export function adminInterface(stations: AdminStations, logger: Logger): VarlinkInterface<Caller> {
  const { grants, audit } = stations;
  // The socket's mode keeps others out already; a mode is quickly changed, and then this holds.
  const forRoot =
    (method: Method<Caller>): Method<Caller> =>
    (parameters, caller, left) => {
      const { uid } = caller.peer;
      if (uid !== 0 && uid !== process.geteuid?.()) {
        throw new VarlinkError('org.varlink.service.PermissionDenied');
      }
      return method(parameters, caller, left);
    };
  return {
    idl: ADMIN,
    methods: {
      Status: forRoot(() => status(stations)),
      Ledger: forRoot(() => ({ grants: grants.layers().map(writeGrant) })),
      Metrics: forRoot(async () => ({ text: await stations.metrics.text() })),
      Monitor: forRoot((_parameters, _caller, left) => monitor(audit, left)),
      Drain: forRoot((_parameters, { peer }) => drain(stations, peer.process.pid)),
    },
    streaming: new Set(['Monitor']),
    precheck: (parameters) => precheckVersion(ADMIN.name, ADMIN_VERSION, parameters),
    toVarlinkError: (error) => {
      const known = invalidParameter(error);
      if (known !== undefined) return known;
      if (error instanceof DeputyError && ADMIN.errors.has(error.code)) {
        return new VarlinkError(`${ADMIN.name}.${error.code}`, {
          message: error.message,
          detail: error.detail,
        });
      }
      logger.error({ err: error }, 'internal error');
      return new VarlinkError(`${ADMIN.name}.Internal`, { message: 'a bug in deputy; see its log' });
    },
  };
}

function status({ chains, plugins, grants, audit, connections }: AdminStations): Parameters {
  const { seq, hash } = audit.head;
  return {
    daemonVersion: VERSION,
    pid: process.pid,
    uptimeMs: Math.round(process.uptime() * 1000),
    draining: grants.draining,
    connections: connections(),
    grants: grants.layers().length,
    auditSequence: seq,
    auditHash: hash,
    auditFailing: audit.failing,
    plugins: [...plugins.values()].map(({ name, sha256, kind }) => ({ name, sha256, kind })),
    chains: Object.entries(chains).map(([operation, links]: [string, readonly ChainLink[]]) => ({
      operation,
      plugins: links.map(({ plugin, mode }) =>
        mode === 'monitor' ? `${plugin.name} (monitor)` : plugin.name,
      ),
    })),
  };
}

function drain({ grants, audit }: AdminStations, pid: number): Parameters {
  const { restored, gone, changedByAnother, failed } = grants.drain();
  audit.recordEvent('drain', { pid, restored, gone, changedByAnother, failed });
  return { restored, gone, changedByAnother, failed: failed.map(({ message }) => message) };
}

function writeGrant({ id, scope, lease, change }: Layer): Parameters {
  const { memlock, cgroup, scheduling, affinity } = writeChanges([change satisfies Change]);
  return {
    id,
    scope,
    lease,
    memlock: memlock[0],
    cgroup: cgroup[0],
    scheduling: scheduling[0],
    affinity: affinity[0],
  };
}
