/**
 * The unprivileged program of the demo: a process with threads that asks the daemon for what it can't do itself.
 * Started with a channel to the demo, which tells it what to ask. Arguments: the uid to become (empty: none), and how
 * many threads.
 */
import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { CallError, connect, type Explainable } from '../../client/index.ts';

export interface Ask {
  readonly socket: string;
  readonly method: keyof Explainable | 'Capabilities' | 'Release';
  readonly parameters: object;
}

export interface Answer {
  readonly reply: unknown;
  readonly error: { readonly code: string; readonly message: string } | undefined;
  readonly microseconds: number;
}

export interface Ready {
  readonly pid: number;
  /** The threads that stand for vCPUs: the last ones to be born. */
  readonly workers: readonly number[];
}

const [uid = '', threads = '4'] = process.argv.slice(2);
if (uid !== '') {
  // By itself and not by its parent, so that its files need not be readable for that user.
  process.setgroups?.([]);
  process.setgid?.(Number(uid));
  process.setuid?.(Number(uid));
}

const before = tids();
const workers = Array.from(
  { length: Number(threads) },
  () => new Worker('setInterval(() => {}, 1e9)', { eval: true }),
);
await Promise.all(workers.map((worker) => new Promise((online) => worker.once('online', online))));
const born = tids().filter((tid) => !before.includes(tid));
process.on('message', (ask: Ask) => {
  void answer(ask).then((found) => process.send?.(found));
});
process.on('disconnect', () => process.exit());
process.send?.({ pid: process.pid, workers: born.slice(-workers.length) } satisfies Ready);

function tids(): number[] {
  return readdirSync('/proc/self/task').map(Number);
}

async function answer({ socket, method, parameters }: Ask): Promise<Answer> {
  using client = await connect(socket);
  await client.ping();
  const start = process.hrtime.bigint();
  const took = (): number => Number(process.hrtime.bigint() - start) / 1000;
  try {
    const reply = await client.connection.call(`io.deputy.Broker.${method}`, { version: 1, ...parameters });
    return { reply, error: undefined, microseconds: took() };
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    const { code, message } = error;
    return { reply: undefined, error: { code, message }, microseconds: took() };
  }
}
