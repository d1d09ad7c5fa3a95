/** A client whose every step a test decides: `puppet.py`, in whatever namespace and with whatever uid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Peer } from '../../runtime/peer.ts';

const PROGRAM = join(import.meta.dirname, 'puppet.py');

export interface PuppetOptions {
  readonly uid?: number;
  /** Before the program: ['unshare', '--pid', '--fork', '--kill-child']. */
  readonly wrapper?: readonly string[];
}

export class Puppet {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>) {
    this.child = child;
    this.#lines = lines;
  }

  static async start({ uid, wrapper = [] }: PuppetOptions = {}): Promise<Puppet> {
    const [command = '', ...args] = [...wrapper, 'python3', PROGRAM];
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    const puppet = new Puppet(child, createInterface(child.stdout)[Symbol.asyncIterator]());
    await puppet.answer();
    return puppet;
  }

  /** Calls a function of `puppet.py`, and returns what it returns. */
  async does<T = unknown>(name: string, ...args: readonly unknown[]): Promise<T> {
    this.tell(name, ...args);
    return (await this.answer()) as T;
  }

  /** For what never answers. */
  tell(name: string, ...args: readonly unknown[]): void {
    this.child.stdin?.write(`${JSON.stringify([name, ...args])}\n`);
  }

  async answer(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the puppet has ended');
    const answer = JSON.parse(value) as { ok?: unknown; error?: string };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.ok;
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exit;
  }
}

export function descriptorOf(socket: Socket): number {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  return fd;
}

/** A socket that everybody may connect to, and the peers of what connects. All of it ends with `close`. */
export class Reception {
  readonly path: string;
  readonly folder: string;
  readonly #server: Server;
  readonly #sockets: Socket[] = [];
  readonly #peers: Peer[] = [];
  readonly #puppets: Puppet[] = [];

  private constructor(folder: string, path: string, server: Server) {
    this.folder = folder;
    this.path = path;
    this.#server = server;
  }

  static async open(): Promise<Reception> {
    const folder = mkdtempSync(join(tmpdir(), 'deputy-'));
    chmodSync(folder, 0o777);
    const path = join(folder, 'socket');
    const server = createServer({ pauseOnConnect: true }).listen(path);
    await once(server, 'listening');
    chmodSync(path, 0o777);
    return new Reception(folder, path, server);
  }

  async puppet(options?: PuppetOptions): Promise<Puppet> {
    const puppet = await Puppet.start(options);
    this.#puppets.push(puppet);
    return puppet;
  }

  /** The puppet connects. */
  async socketOf(puppet: Puppet): Promise<Socket> {
    const connected = once(this.#server, 'connection');
    await puppet.does('connect', this.path);
    const [socket] = (await connected) as [Socket];
    socket.on('error', () => {});
    this.#sockets.push(socket);
    return socket;
  }

  async peerOf(puppet: Puppet, identify: (fd: number) => Peer = Peer.open): Promise<Peer> {
    const peer = identify(descriptorOf(await this.socketOf(puppet)));
    this.#peers.push(peer);
    return peer;
  }

  async close(): Promise<void> {
    for (const peer of this.#peers) peer.close();
    for (const socket of this.#sockets) socket.destroy();
    for (const puppet of this.#puppets) await puppet.kill();
    this.#server.close();
    rmSync(this.folder, { recursive: true });
  }
}
