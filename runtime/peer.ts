/**
 * Who is at the other end of a connection: facts of the kernel, taken once when it is accepted and checked again for
 * every request. Nothing that the client says is part of it.
 *
 * The identity is that of the process that called connect(2). What follows from it:
 * - It forks or execs: still the same process, as long as it lives and keeps its uid.
 * - It passes the socket on: requests count as its own while it lives. A process that hands its socket to another
 *   hands on its rights; with its death they end.
 * - It dies, or changes its uid or gid: every further request is refused as PeerGone.
 */
import { DeputyError } from '../host-api/errors.ts';
import { KernelError } from '../host-api/kernel/errno.ts';
import { openPeerPidfd, type PeerCredentials, readPeerCredentials } from '../host-api/kernel/peer-socket.ts';
import { closePidfd, isAlive, openPidfd } from '../host-api/kernel/pidfd.ts';
import { readCgroup, readStat, readStatus } from '../host-api/kernel/proc.ts';
import type { Process } from '../host-api/target.ts';

export class Peer {
  readonly uid: number;
  readonly gid: number;
  readonly process: Process;
  /** Whether the kernel itself gave the pidfd (Linux 6.5). If not, see `open`. */
  readonly pidfdFromSocket: boolean;

  private constructor(credentials: PeerCredentials, process: Process, pidfdFromSocket: boolean) {
    this.uid = credentials.uid;
    this.gid = credentials.gid;
    this.process = process;
    this.pidfdFromSocket = pidfdFromSocket;
  }

  /**
   * Takes the identity from a connected socket. The pidfd in it is the peer's to close.
   *
   * Before Linux 6.5 the pidfd is opened by pid, some time after connect. A process that connects, dies and is reaped
   * in that time can have its pid reused; the stranger is then refused unless it has the same uid and gid *and* was
   * given the pid within that window. Non-guarantee: such a stranger of the same uid would be taken for the peer.
   *
   * Throws PeerGone.
   */
  static open(socketFd: number): Peer {
    const credentials = readPeerCredentials(socketFd);
    const { pid } = credentials;
    if (pid <= 0) {
      throw new DeputyError('PeerGone', 'the caller is in a pid namespace that the daemon cannot see');
    }
    let pidfd: number | undefined;
    try {
      const fromSocket = openPeerPidfd(socketFd);
      pidfd = fromSocket ?? openPidfd(pid);
      const stat = readStat(pid);
      if (stat === undefined || !isAlive(pidfd)) throw gone(pid);
      const peer = new Peer(
        credentials,
        { pid, startTimeTicks: stat.startTimeTicks, pidfd },
        fromSocket !== undefined,
      );
      peer.check();
      return peer;
    } catch (error) {
      if (pidfd !== undefined) closePidfd(pidfd);
      if (error instanceof KernelError) throw gone(pid);
      throw error;
    }
  }

  /**
   * Whether all of it is still true, now; to be asked before each request. Returns the peer's cgroup as it is now, for
   * it may be moved while it lives. Throws PeerGone.
   */
  check(): string {
    const { pid, startTimeTicks, pidfd } = this.process;
    const status = readStatus(pid);
    const cgroup = readCgroup(pid);
    const stat = readStat(pid);
    // Alive *after* the reads: then they were of this process.
    if (
      status === undefined ||
      cgroup === undefined ||
      stat?.startTimeTicks !== startTimeTicks ||
      !isAlive(pidfd)
    ) {
      throw gone(pid);
    }
    if (status.uids[1] !== this.uid || status.gids[1] !== this.gid) {
      throw new DeputyError(
        'PeerGone',
        `pid ${pid} connected as uid ${this.uid} gid ${this.gid} and is now uid ${status.uids[1]} gid ${status.gids[1]}: connect again`,
        { pid },
      );
    }
    return cgroup;
  }

  close(): void {
    closePidfd(this.process.pidfd);
  }
}

function gone(pid: number): DeputyError {
  return new DeputyError('PeerGone', `the process that connected, pid ${pid}, has exited`, { pid });
}
