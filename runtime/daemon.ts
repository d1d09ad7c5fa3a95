/** The daemon: from a checked deploy directory to listening sockets, and back down without losing anything. */
import { mkdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { DeputyError } from '../host-api/errors.ts';
import { CgroupFs } from '../host-api/kernel/cgroup-fs.ts';
import { lockFile } from '../host-api/kernel/lock.ts';
import { readBootId } from '../host-api/kernel/proc.ts';
import { Admission } from './admission.ts';
import { AuditLog } from './audit/log.ts';
import { AuditTrail } from './audit/trail.ts';
import { brokerInterface } from './broker/service.ts';
import type { Caller } from './caller.ts';
import { capabilitiesOf } from './capabilities.ts';
import type { CheckedDeploy } from './config/check.ts';
import { Grants, type Restored } from './grants.ts';
import type { Stations } from './handle-request.ts';
import { Ledger } from './ledger/ledger.ts';
import { type Accept, inheritedDescriptors, type Listener, listenInherited, listenOn } from './listen.ts';
import { Peer } from './peer.ts';
import { Quota } from './quota.ts';
import { type ConnectionOptions, serveConnection } from './varlink/connection.ts';
import { VarlinkError, VarlinkService } from './varlink/service.ts';
import { VERSION } from './version.ts';

const WRITE_TIMEOUT_MS = 10_000;
/** How long a refused connection may stay to read its refusal. */
const REFUSED_TIMEOUT_MS = 5_000;
const COLLECT_INTERVAL_MS = 30_000;

/** Paths that the command line puts in the place of deputy.toml's. */
export interface Overrides {
  readonly socket?: string | undefined;
  readonly stateDirectory?: string | undefined;
  readonly auditFile?: string | undefined;
}

/** The daemon can't start, for a reason outside the deploy directory. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

export class Daemon {
  readonly #stations: Stations;
  readonly #admission: Admission;
  readonly #service: VarlinkService<Caller>;
  readonly #options: ConnectionOptions;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  readonly #connections = new Set<Promise<void>>();
  readonly #listeners: Listener[] = [];
  readonly #collector: NodeJS.Timeout;
  #nextConnection = 1;

  private constructor(checked: CheckedDeploy, stations: Stations, logger: Logger) {
    const { limits } = checked.deploy.config;
    this.#stations = stations;
    this.#logger = logger;
    this.#admission = new Admission(limits);
    this.#service = new VarlinkService<Caller>(
      { vendor: 'deputy', product: 'deputyd', version: VERSION, url: 'https://varlink.org' },
      [brokerInterface(stations, ({ peer }) => this.#admission.request(peer.uid), logger)],
    );
    this.#options = {
      maxMessageBytes: Number(limits.message_bytes),
      idleTimeoutMs: limits.idle_timeout_ms,
      writeTimeoutMs: WRITE_TIMEOUT_MS,
      invalidMessage: 'io.deputy.Broker.InvalidMessage',
    };
    this.#collector = setInterval(() => stations.grants.collect(), COLLECT_INTERVAL_MS).unref();
  }

  /** Throws StartError or ListenError; then nothing is left open that the process's end would not close. */
  static async start(checked: CheckedDeploy, overrides: Overrides, logger: Logger): Promise<Daemon> {
    const { config } = checked.deploy;
    const stateDirectory = overrides.stateDirectory ?? config.state.directory;
    const cgroupFs = CgroupFs.open();
    const { groups } = checked;
    const grants = new Grants(openLedger(stateDirectory), { cgroupFs, groups });
    const audit = openAudit(overrides.auditFile ?? config.audit.file, config.audit, logger);
    const stations: Stations = {
      scopes: checked.scopes,
      cgroupFs,
      groups,
      chains: checked.chains,
      quota: new Quota(config.quota),
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
    const daemon = new Daemon(checked, stations, logger);
    await daemon.#listen(overrides.socket ?? config.listen.socket, config.listen.mode);
    return daemon;
  }

  get addresses(): string[] {
    return this.#listeners.map(({ address }) => address);
  }

  /** Accepts no more, lets each call under way finish, takes the leases back, closes the books. */
  async stop(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    this.#stopping.abort();
    clearInterval(this.#collector);
    await Promise.all(this.#connections);
    const { audit, grants } = this.#stations;
    audit.recordEvent('stop', { previous: audit.head });
    this.#logger.info({ audit: audit.head }, 'stopped');
    audit.close();
    grants.close();
  }

  async #listen(socketPath: string, mode: number): Promise<void> {
    const accept: Accept = (socket, fd) => this.#accept(socket, fd);
    const inherited = inheritedDescriptors();
    const fd = inherited.get('deputy') ?? inherited.get('unknown');
    this.#listeners.push(
      fd === undefined ? await listenOn(socketPath, mode, accept) : await listenInherited(fd, accept),
    );
  }

  #accept(socket: Socket, fd: number): void {
    // A reset must not end the daemon: the connection's own loop sees it as the end of the stream.
    socket.on('error', () => {});
    let peer: Peer;
    try {
      peer = Peer.open(fd);
    } catch (error) {
      this.#refuse(socket, error);
      return;
    }
    try {
      this.#admission.enter(peer.uid);
    } catch (error) {
      peer.close();
      this.#refuse(socket, error);
      return;
    }
    const connection = this.#nextConnection++;
    const served = this.#serve(socket, { peer, connection }).finally(() => {
      this.#admission.leave(peer.uid);
      peer.close();
      this.#connections.delete(served);
    });
    this.#connections.add(served);
  }

  async #serve(socket: Socket, caller: Caller): Promise<void> {
    const { connection, peer } = caller;
    this.#logger.debug({ connection, uid: peer.uid, pid: peer.process.pid }, 'connected');
    try {
      await serveConnection(socket, this.#service, caller, this.#options, this.#stopping.signal);
    } catch (error) {
      this.#logger.error({ err: error, connection }, 'connection failed');
      socket.destroy();
    }
    const restored = this.#stations.grants.endLease(connection);
    if (restored.restored + restored.gone + restored.changedByAnother + restored.failed.length > 0) {
      this.#stations.audit.recordEvent('lease-end', { connection, ...restored });
      reportRestored(this.#logger, 'lease ended', restored);
    }
  }

  /** Answers the first call, whatever it is, with the reason, and ends. */
  #refuse(socket: Socket, error: unknown): void {
    if (!(error instanceof DeputyError)) {
      this.#logger.error({ err: error }, 'a connection could not be identified');
      socket.destroy();
      return;
    }
    this.#logger.warn({ code: error.code, reason: error.message }, 'connection refused');
    const { code, message, detail } = error;
    const refusal = new VarlinkError(`io.deputy.Broker.${code}`, { message, detail });
    const service = { call: () => Promise.reject(refusal) };
    socket.setTimeout(REFUSED_TIMEOUT_MS, () => socket.destroy());
    const options = { ...this.#options, idleTimeoutMs: 0, once: true };
    serveConnection(socket, service, undefined, options, this.#stopping.signal).catch(() => socket.destroy());
  }
}

function openLedger(directory: string): Ledger {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!lockFile(join(directory, 'lock'))) throw new Error('another deputyd uses it');
    return Ledger.open(directory, readBootId());
  } catch (error) {
    throw new StartError(`the state directory ${directory} can't be used: ${(error as Error).message}`);
  }
}

function openAudit(
  file: string,
  config: CheckedDeploy['deploy']['config']['audit'],
  logger: Logger,
): AuditTrail {
  try {
    const log = AuditLog.open({
      file,
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
