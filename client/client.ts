/** io.deputy.Broker as typed calls. The version of the interface is filled in. */
import { Connection, type ConnectOptions } from './connection.ts';
import type {
  CapabilitiesReply,
  ExplainReply,
  MoveCgroupParameters,
  Outcome,
  ReleaseParameters,
  ReleaseReply,
  SetMemlockParameters,
  SetSchedulerParameters,
} from './types.ts';

export const INTERFACE_VERSION = 1;
export const DEFAULT_SOCKET = '/run/deputy/deputy.sock';

/** Parameters of the calls that `explain` can look ahead to. */
export interface Explainable {
  readonly SetMemlock: SetMemlockParameters;
  readonly MoveCgroup: MoveCgroupParameters;
  readonly SetScheduler: SetSchedulerParameters;
}

/** Connects to the daemon: at `path`, else where DEPUTY_SOCKET says, else at /run/deputy/deputy.sock. */
export async function connect(path?: string, options?: ConnectOptions): Promise<Client> {
  const address = path ?? (process.env['DEPUTY_SOCKET'] || DEFAULT_SOCKET);
  return new Client(await Connection.open(address, options));
}

/** Every method throws CallError where the daemon refuses, and ConnectionError where it doesn't answer. */
export class Client {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Sets both limits of RLIMIT_MEMLOCK of the target; without one, of this process. */
  setMemlock(parameters: SetMemlockParameters): Promise<Outcome> {
    return this.#operation('SetMemlock', parameters);
  }

  /** Moves the target, or threads of it, into a cgroup group of the daemon's configuration. */
  moveCgroup(parameters: MoveCgroupParameters): Promise<Outcome> {
    return this.#operation('MoveCgroup', parameters);
  }

  /** Sets policy, priority, nice and CPUs of the target's threads. */
  setScheduler(parameters: SetSchedulerParameters): Promise<Outcome> {
    return this.#operation('SetScheduler', parameters);
  }

  /** Takes back what this scope was granted for the target. */
  async release(parameters: ReleaseParameters = {}): Promise<ReleaseReply> {
    return (await this.#call('Release', parameters)) as unknown as ReleaseReply;
  }

  /** Decides a call without applying anything. */
  async explain<Method extends keyof Explainable>(
    method: Method,
    parameters: Explainable[Method],
  ): Promise<ExplainReply> {
    const inner = { version: INTERFACE_VERSION, ...parameters };
    return (await this.#call('Explain', { method, parameters: inner })) as unknown as ExplainReply;
  }

  async capabilities(): Promise<CapabilitiesReply> {
    return (await this.#call('Capabilities', {})) as unknown as CapabilitiesReply;
  }

  /** Resolves to the version of the interface that the daemon speaks. */
  async ping(): Promise<number> {
    return Number((await this.#call('Ping', {}))['version']);
  }

  /** Ends the connection; leases taken over it end too. */
  close(): void {
    this.connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #operation(method: string, parameters: object): Promise<Outcome> {
    return (await this.#call(method, parameters))['outcome'] as Outcome;
  }

  #call(method: string, parameters: object): ReturnType<Connection['call']> {
    return this.connection.call(`io.deputy.Broker.${method}`, { version: INTERFACE_VERSION, ...parameters });
  }
}
