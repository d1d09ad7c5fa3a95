/** One socket's clients: each is identified, counted, served until it leaves, or told why it is not. */
import { setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { DeputyError } from '../host-api/errors.ts';
import type { Admission } from './admission.ts';
import type { Caller } from './caller.ts';
import { Peer } from './peer.ts';
import { type Callee, type ConnectionOptions, serveConnection } from './varlink/connection.ts';
import { VarlinkError } from './varlink/service.ts';

/** How long a refused connection may stay to read its refusal. */
const REFUSED_TIMEOUT_MS = 5_000;

export interface ReceptionOptions extends ConnectionOptions {
  /** Whose errors refuse a connection: "io.deputy.Broker". */
  readonly interfaceName: string;
}

export class Reception {
  readonly #service: Callee<Caller>;
  readonly #admission: Admission;
  readonly #options: ReceptionOptions;
  readonly #logger: Logger;
  readonly #onEnd: (caller: Caller) => void;
  readonly #stopping = new AbortController();
  readonly #served = new Set<Promise<void>>();
  #nextConnection = 1;

  /** `onEnd` is called once for each connection that was served, when its last call is answered. */
  constructor(
    service: Callee<Caller>,
    admission: Admission,
    options: ReceptionOptions,
    logger: Logger,
    onEnd: (caller: Caller) => void = () => {},
  ) {
    // One listener for each connection, and there are limits to those.
    setMaxListeners(0, this.#stopping.signal);
    this.#service = service;
    this.#admission = admission;
    this.#options = options;
    this.#logger = logger;
    this.#onEnd = onEnd;
  }

  accept(socket: Socket, fd: number): void {
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
    this.#track(
      this.#serve(socket, { peer, connection }).finally(() => {
        this.#admission.leave(peer.uid);
        peer.close();
      }),
    );
  }

  /** Lets each call under way be answered, and resolves when the last client has gone. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#served);
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
    this.#onEnd(caller);
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
    const refusal = new VarlinkError(`${this.#options.interfaceName}.${code}`, { message, detail });
    const service = { call: () => Promise.reject(refusal) };
    socket.setTimeout(REFUSED_TIMEOUT_MS, () => socket.destroy());
    const options = { ...this.#options, idleTimeoutMs: 0, once: true };
    this.#track(
      serveConnection(socket, service, undefined, options, this.#stopping.signal).catch(() => {
        socket.destroy();
      }),
    );
  }

  #track(served: Promise<void>): void {
    this.#served.add(served);
    served.finally(() => this.#served.delete(served));
  }
}
