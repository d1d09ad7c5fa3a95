/** The daemon: from a checked deploy directory to listening sockets, and back down without losing anything. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { CgroupFs } from '../host-api/kernel/cgroup-fs.ts';
import { type FileLock, lockFile } from '../host-api/kernel/lock.ts';
import { readBootId } from '../host-api/kernel/proc.ts';
import { Admission } from './admission.ts';
import { AuditLog, auditHeadFile } from './audit/log.ts';
import { AuditTrail } from './audit/trail.ts';
import { ADMIN } from './broker/admin-interface.ts';
import { adminInterface } from './broker/admin-service.ts';
import { BROKER } from './broker/interface.ts';
import { brokerInterface } from './broker/service.ts';
import type { Caller } from './caller.ts';
import {
  Canary,
  entersRealtime,
  type RealtimeGuard,
  refusingGuard,
  type Starved,
  UNGUARDED,
} from './canary/canary.ts';
import { capabilitiesOf, hasCapability } from './capabilities.ts';
import type { CheckedDeploy } from './config/check.ts';
import { Grants, type Restored } from './grants.ts';
import type { Stations } from './handle-request.ts';
import { Ledger } from './ledger/ledger.ts';
import {
  type Accept,
  inheritedDescriptors,
  ListenError,
  type Listener,
  listenInherited,
  listenOn,
} from './listen.ts';
import { Metrics } from './metrics.ts';
import { Quota } from './quota.ts';
import { Reception } from './reception.ts';
import { StartError } from './start-error.ts';
import { VarlinkService } from './varlink/service.ts';
import { VERSION } from './version.ts';

const WRITE_TIMEOUT_MS = 10_000;
/** The operator's socket has limits of its own: clients that use up theirs must not lock the operator out. */
const ADMIN_CONNECTIONS = 64;
const ADMIN_MODE = 0o600;
const COLLECT_INTERVAL_MS = 30_000;

/** Paths that the command line puts in the place of deputy.toml's. */
export interface Overrides {
  readonly socket?: string | undefined;
  readonly adminSocket?: string | undefined;
  readonly stateDirectory?: string | undefined;
  readonly auditFile?: string | undefined;
}

export class Daemon {
  readonly #stations: Stations;
  readonly #clients: Reception;
  readonly #operators: Reception;
  readonly #logger: Logger;
  readonly #state: StateDirectory;
  readonly #listeners: Listener[] = [];
  readonly #collector: NodeJS.Timeout;

  private constructor(checked: CheckedDeploy, stations: Stations, state: StateDirectory, logger: Logger) {
    const { limits } = checked.deploy.config;
    this.#stations = stations;
    this.#state = state;
    this.#logger = logger;
    const info = { vendor: 'deputy', product: 'deputyd', version: VERSION, url: 'https://varlink.org' };
    const options = {
      maxMessageBytes: Number(limits.message_bytes),
      maxPipelined: limits.pipelined_requests,
      idleTimeoutMs: limits.idle_timeout_ms,
      writeTimeoutMs: WRITE_TIMEOUT_MS,
    };
    const admission = new Admission(limits);
    const broker = new VarlinkService<Caller>(info, [
      brokerInterface(stations, ({ peer }) => admission.request(peer.uid), logger),
    ]);
    this.#clients = new Reception(
      broker,
      admission,
      { ...options, interfaceName: BROKER.name },
      logger,
      (caller) => this.#endLease(caller),
    );
    const metrics = new Metrics(stations.audit, stations.grants, () => admission.connections);
    const admin = new VarlinkService<Caller>(info, [
      adminInterface(
        { ...stations, plugins: checked.plugins, metrics, connections: () => admission.connections },
        logger,
      ),
    ]);
    this.#operators = new Reception(
      admin,
      new Admission({ ...limits, connections: ADMIN_CONNECTIONS, connections_per_uid: ADMIN_CONNECTIONS }),
      { ...options, idleTimeoutMs: 0, interfaceName: ADMIN.name },
      logger,
    );
    this.#collector = setInterval(() => stations.grants.collect(), COLLECT_INTERVAL_MS).unref();
  }

  /** Throws StartError or ListenError; then nothing is left open that the process's end would not close. */
  static async start(checked: CheckedDeploy, overrides: Overrides, logger: Logger): Promise<Daemon> {
    const { config } = checked.deploy;
    const stateDirectory = overrides.stateDirectory ?? config.state.directory;
    const cgroupFs = CgroupFs.open();
    const { groups } = checked;
    const state = openState(stateDirectory);
    const guard = await startGuard(checked, state.ledger, logger, (starved) => {
      const restored = grants.starved(starved);
      audit.recordEvent('starved', { ...starved, restored });
      logger.error(
        { waitedMs: starved.waitedMs, withinMs: starved.withinMs, ...restored },
        'realtime threads starved this machine: demoted',
      );
    });
    const grants = new Grants(state.ledger, { cgroupFs, groups }, guard);
    const audit = openAudit(
      overrides.auditFile ?? config.audit.file,
      auditHeadFile(stateDirectory),
      config.audit,
      logger,
    );
    const stations: Stations = {
      scopes: checked.scopes,
      cgroupFs,
      groups,
      chains: checked.chains,
      quota: new Quota(config.quota),
      guard,
      grants,
      audit,
    };
    const recovered = grants.recover();
    grants.collect();
    audit.recordEvent('start', { version: VERSION, plugins: pluginDigests(checked), recovered });
    reportRestored(logger, 'recovered from an earlier run', recovered);
    for (const { name, available, reason } of capabilitiesOf(stations)) {
      if (reason !== undefined) logger.warn({ operation: name, available, reason }, 'limited on this host');
    }
    const daemon = new Daemon(checked, stations, state, logger);
    try {
      await daemon.#listen({ ...config.listen, ...defined(overrides) });
    } catch (error) {
      await daemon.stop();
      throw error;
    }
    return daemon;
  }

  get addresses(): string[] {
    return this.#listeners.map(({ address }) => address);
  }

  /** Accepts no more, lets each call under way finish, takes the leases back, closes the books. */
  async stop(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    clearInterval(this.#collector);
    await Promise.all([this.#clients.stop(), this.#operators.stop()]);
    const { audit, grants, guard, cgroupFs } = this.#stations;
    // What is granted for good stays so without a watchdog over it, until a daemon is there again.
    if (guard instanceof Canary) await guard.stop();
    audit.recordEvent('stop', { previous: audit.head });
    this.#logger.info({ audit: audit.head }, 'stopped');
    audit.close();
    grants.close();
    this.#state.lock.release();
    cgroupFs?.close();
  }

  async #listen({ socket, admin_socket, mode }: CheckedDeploy['deploy']['config']['listen']): Promise<void> {
    const inherited = inheritedDescriptors();
    const broker: Accept = (client, fd) => this.#clients.accept(client, fd);
    const admin: Accept = (client, fd) => this.#operators.accept(client, fd);
    const listen = async (
      names: readonly string[],
      path: string,
      mode: number,
      accept: Accept,
    ): Promise<void> => {
      const name = names.find((one) => inherited.has(one));
      const fd = name === undefined ? undefined : inherited.get(name);
      if (name !== undefined) inherited.delete(name);
      this.#listeners.push(
        fd === undefined ? await listenOn(path, mode, accept) : await listenInherited(fd, accept),
      );
    };
    // The operator's first: a daemon that serves clients can be looked at.
    await listen(['admin'], admin_socket, ADMIN_MODE, admin);
    await listen(['deputy', 'unknown'], socket, mode, broker);
    const [stranger] = inherited.keys();
    if (stranger !== undefined) {
      throw new ListenError(
        `the service manager handed over a socket named ${JSON.stringify(stranger)}: FileDescriptorName= must be "deputy" or "admin"`,
      );
    }
  }

  #endLease({ connection }: Caller): void {
    const restored = this.#stations.grants.endLease(connection);
    if (restored.restored + restored.gone + restored.changedByAnother + restored.failed.length > 0) {
      this.#stations.audit.recordEvent('lease-end', { connection, ...restored });
      reportRestored(this.#logger, 'lease ended', restored);
    }
  }
}

/** The canary costs two threads: only where something realtime can be granted at all, or was by an earlier daemon. */
async function startGuard(
  { chains, deploy }: CheckedDeploy,
  ledger: Ledger,
  logger: Logger,
  onStarved: (starved: Starved) => void,
): Promise<RealtimeGuard> {
  const { enabled, starved_ms: starvedMs, refuse_ms: refuseMs } = deploy.config.canary;
  const grantsRealtime = chains['set-scheduler'].some(
    ({ mode, ceilings }) => mode === 'enforce' && (ceilings.scheduler?.maxPriority ?? 0) > 0,
  );
  const holdsRealtime = ledger.layers().some(({ change }) => entersRealtime(change));
  if (!enabled || !(grantsRealtime || holdsRealtime)) return UNGUARDED;
  if (!hasCapability('CAP_SYS_NICE')) return refusingGuard('it needs CAP_SYS_NICE');
  try {
    return await Canary.start({ starvedMs, refuseMs }, logger, onStarved);
  } catch (error) {
    const reason = (error as Error).message;
    logger.error({ reason }, 'the canary cannot be started: realtime is refused');
    return refusingGuard(reason);
  }
}

function defined({ socket, adminSocket }: Overrides): { socket?: string; admin_socket?: string } {
  return {
    ...(socket === undefined ? {} : { socket }),
    ...(adminSocket === undefined ? {} : { admin_socket: adminSocket }),
  };
}

interface StateDirectory {
  readonly ledger: Ledger;
  readonly lock: FileLock;
}

function openState(directory: string): StateDirectory {
  let lock: FileLock | undefined;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    lock = lockFile(join(directory, 'lock'));
    if (lock === undefined) throw new Error('another deputyd uses it');
    return { ledger: Ledger.open(directory, readBootId()), lock };
  } catch (error) {
    lock?.release();
    throw new StartError(`the state directory ${directory} can't be used: ${(error as Error).message}`);
  }
}

function openAudit(
  file: string,
  headFile: string,
  config: CheckedDeploy['deploy']['config']['audit'],
  logger: Logger,
): AuditTrail {
  try {
    const log = AuditLog.open({
      file,
      headFile,
      rotateBytes: Number(config.rotate_bytes),
      keepFiles: config.keep_files,
    });
    return new AuditTrail(log, config.on_failure, logger);
  } catch (error) {
    throw new StartError(`the audit log ${file} can't be opened: ${(error as Error).message}`);
  }
}

function pluginDigests({ plugins }: CheckedDeploy): Record<string, string> {
  return Object.fromEntries([...plugins].map(([name, { sha256 }]) => [name, sha256]));
}

function reportRestored(
  logger: Logger,
  what: string,
  { restored, gone, changedByAnother, failed }: Restored,
): void {
  const counts = { restored, gone, changedByAnother, failed: failed.length };
  if (failed.length > 0) logger.error({ ...counts, failures: failed.map(({ message }) => message) }, what);
  else if (restored + gone + changedByAnother > 0) logger.info(counts, what);
}
