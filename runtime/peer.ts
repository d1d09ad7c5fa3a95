/**
 * Who is at the other end of a connection: facts of the kernel, taken once when it is accepted and checked again for
 * every request. Nothing that the client says is part of it. docs/identity.md says what is proven, and what is not.
 *
 * The identity is that of the process that called connect(2). What follows from it:
 * - It forks or execs: still the same process, as long as it lives and keeps its effective uid and gid.
 * - It passes the socket on: requests count as its own while it lives. A process that hands its socket to another
 *   hands on its rights; with its death they end.
 * - It dies, its first thread ends, or it changes its effective uid or gid (by itself or by a set-user-ID program):
 *   every further request is refused as PeerGone.
 */
import { DeputyError } from '../host-api/errors.ts';
import { openPeerPidfd, type PeerCredentials, readPeerCredentials } from '../host-api/kernel/peer-socket.ts';
import { closePidfd, isAlive, openPidfd } from '../host-api/kernel/pidfd.ts';
import { isOwnProc, isZombie, readExeUntrusted, readStat } from '../host-api/kernel/proc.ts';
import { HeldProc } from '../host-api/kernel/proc-held.ts';
import type { Process } from '../host-api/target.ts';

export class Peer {
  /** Effective uid and gid at connect(2), and still. */
  readonly uid: number;
  readonly gid: number;
  /** The pidfd is the peer's: it is closed with it. */
  readonly process: Process;
  /** How many pid namespaces below the daemon's the process lives; 0 is the daemon's own. */
  readonly namespaceLevel: number;
  /** Its pid as it knows it itself. */
  readonly ownPid: number;
  /** Whether the kernel itself gave the pidfd (Linux 6.5). If not, see `open`. */
  readonly pidfdFromSocket: boolean;
  /** The program, for people; never an identity. */
  readonly exeUntrusted: string | undefined;
  readonly #proc: HeldProc;
  #closed = false;

  private constructor(
    credentials: PeerCredentials,
    process: Process,
    proc: HeldProc,
    pidfdFromSocket: boolean,
    namespacePids: readonly number[],
  ) {
    this.uid = credentials.uid;
    this.gid = credentials.gid;
    this.process = process;
    this.#proc = proc;
    this.pidfdFromSocket = pidfdFromSocket;
    this.namespaceLevel = namespacePids.length - 1;
    this.ownPid = namespacePids.at(-1) ?? process.pid;
    this.exeUntrusted = readExeUntrusted(process.pid);
  }

  /**
   * Takes the identity from a connected socket. Three descriptors are held until `close`.
   *
   * Before Linux 6.5 the pidfd is opened by pid, some time after connect. A process that connects, dies and is reaped
   * in that time can have its pid reused; the stranger is then refused unless it has the same uid and gid *and* was
   * given the pid within that window. Non-guarantee: such a stranger of the same uid would be taken for the peer.
   * (That the process holds the socket could be asked of sock_diag(7) and /proc/PID/fd, but the latter needs
   * CAP_SYS_PTRACE.) `fromSocket` is for tests of that way on newer kernels.
   *
   * Throws a DeputyError: PeerGone; NotSupported where /proc does not show the process.
   */
  static open(socketFd: number, fromSocket: typeof openPeerPidfd = openPeerPidfd): Peer {
    assertProc();
    const credentials = readPeerCredentials(socketFd);
    const { pid } = credentials;
    if (pid <= 0) {
      throw new DeputyError('PeerGone', 'the caller is in a pid namespace that the daemon cannot see');
    }
    let pidfd: number | undefined;
    let proc: HeldProc | undefined;
    try {
      const given = fromSocket(socketFd);
      pidfd = given ?? openPidfd(pid);
      proc = HeldProc.open(pid);
      const startTimeTicks = readStat(pid)?.startTimeTicks;
      const status = proc.status();
      // Alive *after* all of it: then the pid meant this process all the while, and so does what was opened by it.
      if (startTimeTicks === undefined || status === undefined || !isAlive(pidfd)) throw gone(pid);
      const peer = new Peer(
        credentials,
        { pid, startTimeTicks, pidfd },
        proc,
        given !== undefined,
        status.namespacePids,
      );
      peer.check();
      return peer;
    } catch (error) {
      const hidden = proc === undefined && pidfd !== undefined && isAlive(pidfd);
      if (pidfd !== undefined) closePidfd(pidfd);
      proc?.close();
      throw explained(error, pid, hidden);
    }
  }

  /**
   * Whether all of it is still true, now; to be asked before each request. Returns the peer's cgroup as it is now, for
   * it may be moved while it lives. Throws PeerGone, or NoScope where the host has no cgroup v2.
   */
  check(): string {
    const { pid, pidfd } = this.process;
    if (this.#closed) throw gone(pid);
    const status = this.#proc.status();
    const cgroup = this.#proc.cgroup();
    if (status === undefined || !isAlive(pidfd)) throw gone(pid);
    // The credentials of a process are those of its first thread; once that has ended, nobody can see them change.
    if (isZombie(status)) {
      throw new DeputyError('PeerGone', `the first thread of pid ${this.ownPid}, which connected, has ended`);
    }
    const [uid, gid] = [status.uids[1], status.gids[1]];
    if (uid !== this.uid || gid !== this.gid) {
      throw new DeputyError(
        'PeerGone',
        `pid ${this.ownPid} connected as uid ${this.uid} gid ${this.gid} and is now uid ${uid} gid ${gid}: connect again`,
        { pid: this.ownPid },
      );
    }
    if (cgroup === undefined) {
      throw new DeputyError('NoScope', `pid ${this.ownPid} is in no cgroup v2: the host has none mounted`);
    }
    return cgroup;
  }

  /** Safe to call twice: a descriptor closed twice could be another connection's by then. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closePidfd(this.process.pidfd);
    this.#proc.close();
  }
}

function gone(pid: number): DeputyError {
  return new DeputyError('PeerGone', `the process that connected, pid ${pid}, has exited`, { pid });
}

function explained(error: unknown, pid: number, hidden: boolean): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (hidden && code === 'ENOENT') {
    return new DeputyError(
      'NotSupported',
      "/proc hides the caller's process: mount it without hidepid, or put the daemon in the group of gid= (proc(5))",
    );
  }
  // ESRCH of pidfd_open, ENOENT of /proc, ESRCH, EINVAL or ENODATA of SO_PEERPIDFD, by version: reaped. Anything else
  // is not the peer's doing.
  const reaped = ['ESRCH', 'ENOENT', 'EINVAL', 'ENODATA'].includes(code ?? '');
  return reaped && !(error instanceof DeputyError) ? gone(pid) : error;
}

let procIsOwn = false;

function assertProc(): void {
  if (procIsOwn) return;
  if (!isOwnProc()) {
    throw new DeputyError(
      'NotSupported',
      '/proc belongs to another pid namespace than the daemon: it would describe strangers',
    );
  }
  procIsOwn = true;
}
