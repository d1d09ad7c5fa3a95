/**
 * A Varlink client over one unix stream socket (varlink.org, "Protocol"). Calls may overlap: they are sent at once and
 * answered in their order.
 */
import { connect, type Socket } from 'node:net';
import { FrameError, FrameReader } from '../runtime/varlink/frames.ts';
import { decodeJson, encodeJson, type Json } from '../runtime/varlink/json.ts';
import { CallError, ConnectionError } from './errors.ts';
import { fromWire } from './numbers.ts';

export interface ConnectOptions {
  /** How long a call may take until its (first) reply; then the connection is closed. 0 for ever. Default 30 s. */
  readonly timeoutMs?: number;
  /** The longest reply that is read. Default 16 MiB. */
  readonly maxReplyBytes?: number;
}

export type Reply = Readonly<Record<string, unknown>>;

interface Pending {
  readonly onReply: (reply: Reply, continues: boolean) => void;
  readonly onError: (error: Error) => void;
  readonly timer: NodeJS.Timeout | undefined;
}

/** Replies of a stream that wait for their reader; above it, nothing more is read from the socket. */
const STREAM_BUFFER = 64;

export class Connection {
  readonly #socket: Socket;
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #frames: FrameReader;
  readonly #pending: Pending[] = [];
  #failure: ConnectionError | undefined;

  private constructor(socket: Socket, path: string, options: ConnectOptions) {
    this.#socket = socket;
    this.#path = path;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#frames = new FrameReader(options.maxReplyBytes ?? 16 << 20);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => this.#fail(`the connection to ${path} broke`, error));
    socket.on('close', () => this.#fail(`the daemon at ${path} closed the connection`));
  }

  /** Throws a ConnectionError that says what to do. */
  static open(path: string, options: ConnectOptions = {}): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      const fail = (error: NodeJS.ErrnoException): void => reject(unreachable(path, error));
      socket.once('error', fail);
      socket.once('connect', () => {
        socket.off('error', fail);
        resolve(new Connection(socket, path, options));
      });
    });
  }

  /** Throws CallError where the daemon answers with an error, ConnectionError where it doesn't answer. */
  call(method: string, parameters: object = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#send({ method, parameters }, resolve, reject);
    });
  }

  /** Sends a call that is not answered, not even by an error. */
  callOneway(method: string, parameters: object = {}): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#socket.write(`${encodeJson({ method, parameters, oneway: true })}\0`);
  }

  /**
   * A call with `more`: yields each reply until the last. Leaving the loop early closes the connection, since Varlink
   * has no other way to end a stream.
   */
  async *stream(method: string, parameters: object = {}): AsyncGenerator<Reply, void> {
    const replies: Reply[] = [];
    const state: { ended: boolean; error?: Error; wake?: () => void } = { ended: false };
    const wake = (): void => state.wake?.();
    this.#send(
      { method, parameters, more: true },
      (reply, continues) => {
        replies.push(reply);
        state.ended = !continues;
        if (replies.length >= STREAM_BUFFER) this.#socket.pause();
        wake();
      },
      (error) => {
        state.error = error;
        wake();
      },
    );
    try {
      for (;;) {
        const reply = replies.shift();
        if (reply !== undefined) {
          if (replies.length === 0) this.#socket.resume();
          yield reply;
        } else if (state.error !== undefined) throw state.error;
        else if (state.ended) return;
        else
          await new Promise<void>((resolve) => {
            state.wake = resolve;
          });
      }
    } finally {
      if (!state.ended && state.error === undefined) this.close();
    }
  }

  /** Ends the connection; leases taken over it end too. Calls under way fail. */
  close(): void {
    this.#fail('the connection was closed here');
    this.#socket.destroySoon();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #send(call: object, onReply: Pending['onReply'], onError: Pending['onError']): void {
    if (this.#failure !== undefined) {
      onError(this.#failure);
      return;
    }
    const timer =
      this.#timeoutMs > 0
        ? setTimeout(() => {
            // Replies come in order: without this one, none of those behind it can be told apart.
            this.#fail(`no answer from ${this.#path} within ${this.#timeoutMs} ms`);
            this.#socket.destroy();
          }, this.#timeoutMs)
        : undefined;
    this.#pending.push({ onReply, onError, timer });
    this.#socket.write(`${encodeJson(call)}\0`);
  }

  #read(chunk: Uint8Array): void {
    try {
      for (const message of this.#frames.push(chunk)) this.#take(decodeJson(message));
    } catch (error) {
      if (!(error instanceof FrameError || error instanceof SyntaxError)) throw error;
      this.#fail(`what answers at ${this.#path} doesn't speak Varlink: ${error.message}`);
      this.#socket.destroy();
    }
  }

  #take(message: Json): void {
    const [pending] = this.#pending;
    if (pending === undefined || typeof message !== 'object' || message === null || Array.isArray(message))
      throw new SyntaxError('a message that answers nothing');
    const { error, parameters, continues } = message;
    clearTimeout(pending.timer);
    const reply = (fromWire(parameters ?? {}) ?? {}) as Reply;
    if (continues === true) {
      pending.onReply(reply, true);
      return;
    }
    this.#pending.shift();
    if (typeof error === 'string') pending.onError(new CallError(error, reply));
    else pending.onReply(reply, false);
  }

  #fail(message: string, cause?: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = new ConnectionError(message, cause);
    for (const { onError, timer } of this.#pending.splice(0)) {
      clearTimeout(timer);
      onError(this.#failure);
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket; is deputyd running?',
  ECONNREFUSED: 'nothing listens there; is deputyd running?',
  EACCES: 'permission denied',
  ENOTSOCK: 'it is no socket',
};

function unreachable(path: string, error: NodeJS.ErrnoException): ConnectionError {
  const { code = '' } = error;
  return new ConnectionError(`can't connect to ${path}: ${REASONS[code] ?? (code || error.message)}`, error);
}
