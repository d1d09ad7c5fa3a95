/** Unix stream sockets: made here, or handed over by the service manager (sd_listen_fds(3)). */
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';

/** The address can't be had. The message says why and what to do. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

export type Accept = (socket: Socket, fd: number) => void;

export interface Listener {
  /** What it is, for logs: a path, or "inherited descriptor 3". */
  readonly address: string;
  /** Accepts no more, and removes the socket file that it made. */
  close(): void;
}

/** Connections waiting to be accepted; the kernel's own limit, net.core.somaxconn, may be lower. */
const BACKLOG = 512;

/**
 * Makes a socket at the path. What a dead daemon left there is replaced; where something answers, or where it is no
 * socket at all, nothing is touched and ListenError thrown. The caller makes sure (by the lock on the state directory)
 * that no second daemon does the same at the same time.
 */
export async function listenOn(path: string, mode: number, accept: Accept): Promise<Listener> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  await removeStale(path);
  const server = serverFor(accept);
  // bind(2) makes the file with the umask's mode: there is no moment in which more may connect than should.
  const umask = process.umask(0o777 & ~mode);
  try {
    await listening(server, { path, backlog: BACKLOG }, path);
  } finally {
    process.umask(umask);
  }
  chmodSync(path, mode);
  const { ino, dev } = lstatSync(path);
  return {
    address: path,
    close() {
      server.close();
      // Only our own: another daemon may have taken the path in the meantime.
      try {
        const now = lstatSync(path);
        if (now.ino === ino && now.dev === dev) unlinkSync(path);
      } catch {
        // Already gone: libuv removes it on close.
      }
    },
  };
}

/** Takes over a listening descriptor of the service manager. The socket's file is the manager's. */
export async function listenInherited(fd: number, accept: Accept): Promise<Listener> {
  const server = serverFor(accept);
  const address = `inherited descriptor ${fd}`;
  await listening(server, { fd }, address);
  return { address, close: () => void server.close() };
}

/**
 * Descriptors handed over to this process, by name (LISTEN_FDNAMES); unnamed ones are called "unknown". The variables
 * are taken away, so that no child takes them for its own.
 */
export function inheritedDescriptors(env: NodeJS.ProcessEnv = process.env): Map<string, number> {
  const count = countInherited(env);
  const names = env['LISTEN_FDNAMES']?.split(':') ?? [];
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  const descriptors = new Map<string, number>();
  for (let n = 0; n < count; n++) descriptors.set(names[n] || 'unknown', FIRST_INHERITED + n);
  return descriptors;
}

/** SD_LISTEN_FDS_START (sd-daemon.h) */
const FIRST_INHERITED = 3;

/** How many descriptors were handed over. Throws ListenError where that can't be. */
export function countInherited({ LISTEN_PID, LISTEN_FDS }: NodeJS.ProcessEnv = process.env): number {
  if (LISTEN_PID !== `${process.pid}` || LISTEN_FDS === undefined) return 0;
  const count = Number(LISTEN_FDS);
  if (!Number.isInteger(count) || count < 0 || count > 16) {
    throw new ListenError(`LISTEN_FDS is ${JSON.stringify(LISTEN_FDS)}, not a small number of descriptors`);
  }
  return count;
}

function serverFor(accept: Accept): Server {
  // Half-open: a client may say all it has to say, shut down its side, and then read the answers.
  return createServer({ allowHalfOpen: true }, (socket) => {
    const fd = descriptorOf(socket);
    // Without the descriptor the kernel can't be asked who this is: nobody, then.
    if (fd === undefined) socket.destroy();
    else accept(socket, fd);
  });
}

/** Node has no public way to a socket's descriptor; `_handle.fd` is what its own `cluster` and many others use. */
function descriptorOf(socket: Socket): number | undefined {
  const fd: unknown = (socket as unknown as { _handle?: { fd?: unknown } })._handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

function listening(
  server: Server,
  options: { path: string; backlog: number } | { fd: number },
  what: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new ListenError(`can't listen on ${what}: ${error.code ?? error.message}`));
    });
    server.listen(options, resolve);
  });
}

async function removeStale(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new ListenError(`${path} exists and is no socket: move it away`);
  const answer = await new Promise<string>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve('alive');
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
  });
  if (answer === 'alive') throw new ListenError(`${path} is served by another process: stop it first`);
  if (answer !== 'ECONNREFUSED') throw new ListenError(`${path} can't be looked at: ${answer}`);
  unlinkSync(path);
}
