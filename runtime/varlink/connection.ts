/**
 * One client. Calls are answered one after another in their order; while one is being answered nothing more is read,
 * so that a client can't have more under way than one call and what the kernel buffers.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { FrameError, FrameReader } from './frames.ts';
import { decodeJson, encodeJson, type Json } from './json.ts';
import { type Call, type Parameters, type Stream, VarlinkError, type VarlinkService } from './service.ts';

/** How long a client that broke the protocol may take to read the answer to that. */
const LINGER_MS = 1000;

export interface ConnectionOptions {
  readonly maxMessageBytes: number;
  /**
   * Calls that may arrive together. Those beyond are not carried out but answered with `Busy`, in their turn, so that
   * one read of thousands of small calls is a bounded amount of work.
   */
  readonly maxPipelined: number;
  /** 0 for none. */
  readonly idleTimeoutMs: number;
  /** How long a client may leave its replies unread. */
  readonly writeTimeoutMs: number;
  /** Whose errors `InvalidMessage` (with which the connection ends) and `Busy` are: "io.deputy.Broker". */
  readonly interfaceName: string;
  /** End after the first call. */
  readonly once?: boolean;
}

/** What a connection needs of a service. */
export type Callee<Context> = Pick<VarlinkService<Context>, 'call'>;

/** Serves until the client leaves, breaks the protocol, or `signal` ends it after the call under way. */
export async function serveConnection<Context>(
  socket: Socket,
  service: Callee<Context>,
  context: Context,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<void> {
  const frames = new FrameReader(options.maxMessageBytes);
  if (options.idleTimeoutMs > 0) socket.setTimeout(options.idleTimeoutMs, () => socket.destroy());
  let busy = false;
  const left = new AbortController();
  const end = (): void => left.abort();
  const stop = (): void => {
    end();
    if (!busy) socket.destroySoon();
  };
  signal.addEventListener('abort', stop, { once: true });
  socket.once('close', end);
  try {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      let arrived = 0;
      for (const message of frames.push(chunk as Uint8Array)) {
        busy = true;
        const callee = ++arrived > options.maxPipelined ? tooMany(options) : service;
        await answer(socket, callee, context, message, options, left.signal);
        busy = false;
        if (socket.destroyed || signal.aborted) return;
        if (options.once === true) return await linger(socket);
        // Between two calls of one client, the others have their turn.
        await nextTurn();
      }
    }
  } catch (error) {
    if (error instanceof FrameError || error instanceof MessageError) {
      const name = `${options.interfaceName}.InvalidMessage`;
      await send(socket, { error: name, parameters: { message: error.message } }, options);
      return await linger(socket);
    }
    if (!isDisconnect(error)) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    socket.off('close', end);
    end();
    // A peer that never closes its side would keep the socket half open for ever.
    socket.destroySoon();
  }
}

/** Answers what a client sends beyond its share. */
function tooMany({ interfaceName, maxPipelined }: ConnectionOptions): Callee<unknown> {
  const message = `more than ${maxPipelined} calls arrived at once on this connection; read the answers before you send more`;
  const refusal = new VarlinkError(`${interfaceName}.Busy`, { message, detail: { allowed: maxPipelined } });
  return { call: () => Promise.reject(refusal) };
}

/** A message that is no call. Where the next one begins is known, but a client this broken is not to be trusted. */
class MessageError extends Error {}

async function answer<Context>(
  socket: Socket,
  service: Callee<Context>,
  context: Context,
  message: Uint8Array,
  options: ConnectionOptions,
  left: AbortSignal,
): Promise<void> {
  const call = parseCall(message);
  const reply = async (value: Reply): Promise<void> => {
    if (!call.oneway) await send(socket, value, options);
  };
  try {
    const result = await service.call(call, context, left);
    if (!isStream(result)) return await reply({ parameters: result });
    for (;;) {
      const { value, done } = await result.next();
      if (done) return await reply({ parameters: value });
      await reply({ parameters: value, continues: true });
      if (socket.destroyed) return void (await result.return({}));
    }
  } catch (error) {
    if (!(error instanceof VarlinkError)) throw error;
    await reply({ error: error.error, parameters: error.parameters });
  }
}

interface Reply {
  readonly error?: string;
  readonly parameters: Parameters;
  readonly continues?: true;
}

function parseCall(message: Uint8Array): Call {
  let value: Json;
  try {
    value = decodeJson(message);
  } catch (error) {
    if (error instanceof SyntaxError) throw new MessageError(error.message);
    throw error;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MessageError('the message is not a JSON object');
  }
  const { method, parameters = {}, more = false, oneway = false, upgrade = false } = value;
  if (typeof method !== 'string') throw new MessageError('the message has no "method"');
  for (const [name, flag] of Object.entries({ more, oneway, upgrade })) {
    if (typeof flag !== 'boolean') throw new MessageError(`"${name}" is not true or false`);
  }
  if (upgrade === true) throw new MessageError('"upgrade" is not supported');
  if (more === true && oneway === true) throw new MessageError('"more" and "oneway" exclude each other');
  return { method, parameters: parameters ?? {}, more: more === true, oneway: oneway === true };
}

async function send(socket: Socket, reply: Reply, options: ConnectionOptions): Promise<void> {
  if (socket.destroyed || !socket.writable) return;
  if (socket.write(`${encodeJson(reply)}\0`)) return;
  // The client does not read. It gets its time, holds up nobody else, and can't make us buffer.
  const timer = setTimeout(() => socket.destroy(), options.writeTimeoutMs);
  try {
    await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Lets a client read why the connection ends. Closing at once, with bytes of its own still unread, would make the
 * kernel answer its next write with a reset (unix(7)), and many clients then never look at what they were told.
 */
async function linger(socket: Socket): Promise<void> {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  const over = Promise.race([once(socket, 'end'), once(socket, 'close')]);
  socket.end();
  // What still comes is thrown away.
  socket.resume();
  try {
    await over;
  } catch (error) {
    if (!isDisconnect(error)) throw error;
  } finally {
    clearTimeout(timer);
  }
}

function isStream(value: Parameters | Stream): value is Stream {
  return Symbol.asyncIterator in value;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const DISCONNECTS = new Set([
  'ECONNRESET',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_DESTROYED',
  'ABORT_ERR',
]);

function isDisconnect(error: unknown): boolean {
  return DISCONNECTS.has((error as NodeJS.ErrnoException).code ?? '');
}
