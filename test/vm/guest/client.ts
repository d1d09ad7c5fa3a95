/** A client of the daemon whose every step a case decides, without privilege, born in a cgroup of its own. */
import assert from 'node:assert/strict';
import type {
  MoveCgroupParameters,
  Outcome,
  ReleaseReply,
  SetMemlockParameters,
  SetSchedulerParameters,
} from '../../../client/types.ts';
import { Puppet } from '../../support/puppet.ts';
import { makeCgroup } from './cgroups.ts';
import { after } from './check.ts';
import { type Deputyd, sharedDeputyd } from './deputyd.ts';

export const UID = 1000;

/** Before the program: pid 1 of a namespace of its own, whose /proc is still the host's. */
export const NEW_PID_NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child'];

/** JSON has one kind of number: in a case, bytes and ticks are small enough for it. */
type Wire<T> = T extends bigint ? number : T extends object ? { [K in keyof T]: Wire<T[K]> } : T;

interface Calls {
  readonly SetMemlock: [Wire<SetMemlockParameters>, { outcome: Wire<Outcome> }];
  readonly MoveCgroup: [Wire<MoveCgroupParameters>, { outcome: Wire<Outcome> }];
  readonly SetScheduler: [Wire<SetSchedulerParameters>, { outcome: Wire<Outcome> }];
  readonly Release: [{ target?: object }, ReleaseReply];
  readonly Ping: [object, { version: number }];
}

export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface ClientOptions {
  /** Made where it is absent. */
  readonly cgroup?: string;
  readonly uid?: number;
  readonly wrapper?: readonly string[];
  readonly deputyd?: Deputyd;
}

let number = 0;

/** Starting Python takes a second here: one is always ready, as root and in no cgroup of a case yet. */
let spare: Promise<Puppet> | undefined;

function takeSpare(): Promise<Puppet> {
  const taken = spare ?? Puppet.start();
  // Once the other is there, so that it holds nobody up.
  spare = taken.then(() => Puppet.start());
  spare.catch(() => {});
  return taken;
}

async function startPuppet(cgroup: string, uid: number, wrapper: readonly string[]): Promise<Puppet> {
  if (wrapper.length === 0) {
    const puppet = await takeSpare();
    await puppet.does('begin', cgroup, uid);
    return puppet;
  }
  const born = `echo 0 > /sys/fs/cgroup${cgroup}/cgroup.procs && exec "$@"`;
  const drop = uid === 0 ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  return Puppet.start({ wrapper: ['sh', '-c', born, 'sh', ...wrapper, ...drop] });
}

export class Client {
  readonly puppet: Puppet;
  readonly cgroup: string;
  /** In the daemon's namespace. */
  readonly pid: number;
  readonly deputyd: Deputyd;

  private constructor(puppet: Puppet, cgroup: string, pid: number, deputyd: Deputyd) {
    this.puppet = puppet;
    this.cgroup = cgroup;
    this.pid = pid;
    this.deputyd = deputyd;
  }

  /** Started, placed and connected. It ends with the check. */
  static async start(options: ClientOptions = {}): Promise<Client> {
    const { uid = UID, wrapper = [] } = options;
    const cgroup = makeCgroup(options.cgroup ?? `/deputy-test/client-${++number}`);
    const deputyd = options.deputyd ?? (await sharedDeputyd());
    const puppet = await startPuppet(cgroup, uid, wrapper);
    after(() => puppet.kill());
    await puppet.does('connect', deputyd.socket);
    return new Client(puppet, cgroup, await puppet.does<number>('host_pid'), deputyd);
  }

  /** Calls a function of `puppet.py`. */
  does<T = unknown>(name: string, ...args: readonly unknown[]): Promise<T> {
    return this.puppet.does<T>(name, ...args);
  }

  /** Another process of the same cgroup and namespace: its pid as the client knows it. */
  startSleeper(): Promise<number> {
    return this.does<number>('start', 'sleep', '1000');
  }

  async ask<Method extends keyof Calls>(
    method: Method,
    parameters: Calls[Method][0],
  ): Promise<Calls[Method][1]> {
    const reply = await this.#call(method, parameters);
    if (reply.error !== undefined) assert.fail(`${reply.error}: ${JSON.stringify(reply.parameters)}`);
    return reply.parameters as Calls[Method][1];
  }

  /** The error of a call that must be refused. */
  async refused(method: keyof Calls, parameters: object): Promise<Refusal> {
    const { error, parameters: told } = await this.#call(method, parameters);
    if (error === undefined) assert.fail(`${method} was granted: ${JSON.stringify(told)}`);
    const { message, detail } = told as { message?: string; detail?: Refusal['detail'] };
    return {
      code: error.slice(error.lastIndexOf('.') + 1),
      message: message ?? JSON.stringify(told),
      detail: detail ?? {},
    };
  }

  #call(method: string, parameters: object): Promise<{ error?: string; parameters?: unknown }> {
    return this.does('ask', `io.deputy.Broker.${method}`, { version: 1, ...parameters });
  }
}
