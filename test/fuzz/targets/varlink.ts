/** Bytes to a real daemon's socket: it answers or closes, serves others all the while, and changes nothing. */

import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import * as fc from 'fast-check';
import { Connection } from '../../../client/connection.ts';
import { startDaemon } from '../../support/daemon.ts';
import { mutated } from '../mutate.ts';
import { demand, type Target } from '../target.ts';

const call = (method: string, parameters: object, more: object = {}): Uint8Array =>
  Buffer.from(`${JSON.stringify({ method, parameters, ...more })}\0`);
const TARGET = { pid: 1, onlyThreads: [1, 2], startTimeTicks: 123456789 };
const BASES = [
  call('io.deputy.Broker.Ping', { version: 1 }),
  call('io.deputy.Broker.SetMemlock', { version: 1, target: TARGET, hardBytes: 4294967297 }),
  call('io.deputy.Broker.SetMemlock', { version: 1, unlimited: true, atLeast: true, lease: true }),
  call('io.deputy.Broker.MoveCgroup', { version: 1, group: 'housekeeping', target: { exceptThreads: [3] } }),
  call('io.deputy.Broker.SetScheduler', {
    version: 1,
    policy: 'fifo',
    priority: 99,
    nice: -20,
    cpus: [0, 1],
  }),
  call('io.deputy.Broker.Release', { version: 1 }),
  call('io.deputy.Broker.Explain', {
    version: 1,
    method: 'SetMemlock',
    parameters: { version: 1, hardBytes: 1 },
  }),
  call('org.varlink.service.GetInfo', {}),
  call('org.varlink.service.GetInterfaceDescription', { interface: 'io.deputy.Broker' }, { more: true }),
  call('io.deputy.Broker.Ping', { version: 2 }, { oneway: true }),
];
const SNIPPETS = [
  '\0',
  '{',
  '}',
  '[[[[[[',
  '"',
  '\\u0000',
  '\\ud800',
  '1e999',
  '-0',
  '99999999999999999999',
  'null',
  'é',
  '"__proto__":1,',
];

export async function open(): Promise<Target> {
  // Ever faster than anybody may be in earnest.
  const daemon = await startDaemon('limits = { requests_per_second = 1000000, connections_per_uid = 1000 }');
  // Of another scope than the client's, whichever that is: nothing may change it.
  const limits = (): string => readFileSync('/proc/1/limits', 'latin1');
  const before = limits();
  const one = mutated(
    BASES,
    SNIPPETS.map((text) => Buffer.from(text)),
  );
  return {
    name: 'varlink',
    inputs: fc
      .array(fc.oneof({ weight: 3, arbitrary: one }, { weight: 1, arbitrary: fc.constantFrom(...BASES) }), {
        minLength: 1,
        maxLength: 4,
      })
      .map((messages) => Buffer.concat(messages)),
    async check(bytes) {
      const answered = await exchange(daemon.socket, bytes);
      for (const message of answered.split('\0').slice(0, -1)) {
        const reply: unknown = JSON.parse(message);
        demand(
          typeof reply === 'object' && reply !== null && ('error' in reply || 'parameters' in reply),
          `a reply: ${message}`,
        );
      }
      demand(answered === '' || answered.endsWith('\0'), 'a reply that is cut short');
      const other = await Connection.open(daemon.socket);
      await other.call('io.deputy.Broker.Ping', { version: 1 });
      other.close();
      demand(limits() === before, 'the limits of process 1 have changed');
    },
    close: () => daemon.stop(),
  };
}

/** All that comes back until the daemon has nothing more to say: it closes once this side has. */
function exchange(socket: string, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const client = connect(socket);
    let got = '';
    client.setEncoding('utf8');
    client.setTimeout(10_000, () => reject(new Error('the daemon hangs')));
    client.on('data', (chunk) => {
      got += chunk;
    });
    client.on('close', () => resolve(got));
    client.on('error', (error: NodeJS.ErrnoException) => {
      // It may close while this side is still writing.
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    const half = bytes.length >> 1;
    client.write(bytes.subarray(0, half));
    client.end(bytes.subarray(half));
  });
}
