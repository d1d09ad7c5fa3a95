import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConnectionOptions, serveConnection } from '../../../runtime/varlink/connection.ts';
import { parseIdl } from '../../../runtime/varlink/idl.ts';
import {
  invalidParameter,
  VarlinkError,
  type VarlinkInterface,
  VarlinkService,
} from '../../../runtime/varlink/service.ts';
import { ParameterError } from '../../../runtime/varlink/validate.ts';

const ECHO = parseIdl(`# For tests.
interface io.deputy.Echo

type Pair (left: int, right: ?string)

method Echo(number: int, text: ?string, pairs: ?[]Pair, mode: ?(fast, slow)) -> (number: int, text: ?string)
method Count(to: int) -> (n: int)
method Watch() -> (n: int)
method Later() -> ()
`);

/** Calls of Watch that have been told to end. */
let watchesEnded = 0;

const echo: VarlinkInterface<undefined> = {
  idl: ECHO,
  methods: {
    Echo: ({ number, text }) => ({ number, text }),
    Count: async function* ({ to }) {
      if ((to as bigint) < 0n) throw new ParameterError('to', 'is negative');
      if ((to as bigint) === 13n) {
        yield { n: 1 };
        throw new VarlinkError('io.deputy.Echo.Unlucky');
      }
      for (let n = 1n; n < (to as bigint); n++) yield { n };
      return { n: to };
    },
    Watch: async function* (_parameters, _context, left) {
      yield { n: 1 };
      if (!left.aborted) await once(left, 'abort');
      watchesEnded++;
      return { n: 2 };
    },
  },
  streaming: new Set(['Count', 'Watch']),
  toVarlinkError: invalidParameter,
};

const service = new VarlinkService<undefined>(
  { vendor: 'deputy', product: 'test', version: '1', url: 'https://example.org' },
  [echo],
);
const OPTIONS = {
  maxMessageBytes: 1024,
  idleTimeoutMs: 0,
  writeTimeoutMs: 500,
  maxPipelined: 10_000,
  interfaceName: 'io.deputy.Echo',
};

let directory: string;
let server: Server;
let abort: AbortController;
let served: Promise<void>[];
let options: ConnectionOptions;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'deputy-varlink-'));
  abort = new AbortController();
  served = [];
  options = OPTIONS;
  server = createServer({ allowHalfOpen: true }, (socket) => {
    served.push(serveConnection(socket, service, undefined, options, abort.signal));
  });
  await new Promise<void>((resolve) => server.listen(join(directory, 's'), resolve));
});

afterEach(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

const open = (): Socket => connect({ path: join(directory, 's'), allowHalfOpen: true });

/** Sends the pieces one by one and returns all that comes back until the server closes. */
async function exchange(pieces: (string | Uint8Array)[]): Promise<string> {
  const socket = open();
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const closed = new Promise<void>((resolve) => socket.once('end', resolve));
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end();
  await closed;
  socket.destroy();
  return Buffer.concat(chunks).toString('utf8');
}

const call = (method: string, parameters?: string, more = '') =>
  `{"method":"${method}"${parameters === undefined ? '' : `,"parameters":${parameters}`}${more}}\0`;
const echoCall = (parameters: string, more = '') => call('io.deputy.Echo.Echo', parameters, more);
const invalid = (parameter: string, message: string) =>
  `{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":${JSON.stringify(parameter)},"message":${JSON.stringify(message)}}}\0`;
const broken = (message: string) =>
  `{"error":"io.deputy.Echo.InvalidMessage","parameters":{"message":${JSON.stringify(message)}}}\0`;

describe('the protocol, byte for byte', () => {
  it.each<[string, (string | Uint8Array)[], string]>([
    ['a call', [echoCall('{"number":1}')], '{"parameters":{"number":1}}\0'],
    [
      '64-bit integers',
      [echoCall('{"number":9223372036854775807}'), echoCall('{"number":-9223372036854775808}')],
      '{"parameters":{"number":9223372036854775807}}\0{"parameters":{"number":-9223372036854775808}}\0',
    ],
    ['2^53 + 1', [echoCall('{"number":9007199254740993}')], '{"parameters":{"number":9007199254740993}}\0'],
    [
      'a call byte by byte',
      [...Buffer.from(echoCall('{"number":1,"text":"ü€😀"}'))].map((byte) => Uint8Array.of(byte)),
      '{"parameters":{"number":1,"text":"ü€😀"}}\0',
    ],
    [
      'several calls in one chunk, answered in order',
      [[1, 2, 3].map((n) => echoCall(`{"number":${n}}`)).join('')],
      [1, 2, 3].map((n) => `{"parameters":{"number":${n}}}\0`).join(''),
    ],
    [
      'a call split inside a character',
      [
        Buffer.from(echoCall('{"number":1,"text":"€"}')).subarray(0, 61),
        Buffer.from(echoCall('{"number":1,"text":"€"}')).subarray(61),
      ],
      '{"parameters":{"number":1,"text":"€"}}\0',
    ],
    [
      'a NUL as an escape',
      [echoCall('{"number":1,"text":"\\u0000"}')],
      '{"parameters":{"number":1,"text":"\\u0000"}}\0',
    ],
    ['null for an absent parameter', [echoCall('{"number":1,"text":null}')], '{"parameters":{"number":1}}\0'],
    [
      'oneway',
      [echoCall('{"number":1}', ',"oneway":true'), echoCall('{"number":2}')],
      '{"parameters":{"number":2}}\0',
    ],
    [
      'oneway with an error',
      [echoCall('{}', ',"oneway":true'), echoCall('{"number":2}')],
      '{"parameters":{"number":2}}\0',
    ],
    [
      'more',
      [call('io.deputy.Echo.Count', '{"to":3}', ',"more":true')],
      '{"parameters":{"n":1},"continues":true}\0{"parameters":{"n":2},"continues":true}\0{"parameters":{"n":3}}\0',
    ],
    [
      'more, refused at once',
      [call('io.deputy.Echo.Count', '{"to":-1}', ',"more":true')],
      invalid('to', 'to: is negative'),
    ],
    [
      'more, failing after the first reply',
      [call('io.deputy.Echo.Count', '{"to":13}', ',"more":true'), echoCall('{"number":2}')],
      '{"parameters":{"n":1},"continues":true}\0{"error":"io.deputy.Echo.Unlucky","parameters":{}}\0{"parameters":{"number":2}}\0',
    ],
    [
      'more of a method with one reply',
      [echoCall('{"number":1}', ',"more":true')],
      '{"parameters":{"number":1}}\0',
    ],
    [
      'more and oneway',
      [call('io.deputy.Echo.Count', '{"to":3}', ',"more":true,"oneway":true')],
      broken('"more" and "oneway" exclude each other'),
    ],
    [
      'more that was not asked for',
      [call('io.deputy.Echo.Count', '{"to":3}')],
      '{"error":"org.varlink.service.ExpectedMore","parameters":{}}\0',
    ],
    [
      'GetInfo',
      [call('org.varlink.service.GetInfo')],
      '{"parameters":{"vendor":"deputy","product":"test","version":"1","url":"https://example.org","interfaces":["org.varlink.service","io.deputy.Echo"]}}\0',
    ],
    [
      'GetInterfaceDescription',
      [call('org.varlink.service.GetInterfaceDescription', '{"interface":"io.deputy.Echo"}')],
      `{"parameters":{"description":${JSON.stringify(ECHO.text)}}}\0`,
    ],
    [
      'an unknown interface',
      [call('io.deputy.Nope.Echo')],
      '{"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"io.deputy.Nope"}}\0',
    ],
    [
      'an unknown method',
      [call('io.deputy.Echo.Nope')],
      '{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"io.deputy.Echo.Nope"}}\0',
    ],
    [
      'a method of Object',
      [call('io.deputy.Echo.constructor')],
      '{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"io.deputy.Echo.constructor"}}\0',
    ],
    [
      'a method that is not implemented',
      [call('io.deputy.Echo.Later')],
      '{"error":"org.varlink.service.MethodNotImplemented","parameters":{"method":"io.deputy.Echo.Later"}}\0',
    ],
    [
      'an unknown parameter',
      [echoCall('{"number":1,"numbr":2}')],
      invalid('numbr', 'numbr: unknown; known are number, text, pairs, mode'),
    ],
    [
      '__proto__ as a parameter',
      [echoCall('{"number":1,"__proto__":{"text":"x"}}')],
      invalid('__proto__', '__proto__: unknown; known are number, text, pairs, mode'),
    ],
    ['a missing parameter', [echoCall('{}')], invalid('number', 'number: is missing')],
    ['a fraction', [echoCall('{"number":1.5}')], invalid('number', 'number: 1.5 is not an integer')],
    ['an exponent', [echoCall('{"number":1e3}')], invalid('number', 'number: 1000 is not an integer')],
    [
      '2^63',
      [echoCall('{"number":9223372036854775808}')],
      invalid(
        'number',
        'number: 9223372036854775808 is not an integer from -9223372036854775808 to 9223372036854775807',
      ),
    ],
    ['a text for a number', [echoCall('{"number":"1"}')], invalid('number', 'number: "1" is not an integer')],
    [
      'a lone surrogate',
      [echoCall('{"number":1,"text":"\\ud800"}')],
      invalid('text', 'text: "…" is not well-formed Unicode'),
    ],
    [
      'a wrong value deep inside',
      [echoCall('{"number":1,"pairs":[{"left":1},{"left":true}]}')],
      invalid('pairs[1].left', 'pairs[1].left: true is not an integer'),
    ],
    [
      'a value that the enum lacks',
      [echoCall('{"number":1,"mode":"warp"}')],
      invalid('mode', 'mode: "warp" is not one of fast, slow'),
    ],
    ['parameters that are no object', [echoCall('[1]')], invalid('', 'parameters: [1] is not an object')],
    [
      'after a bad parameter, the next call',
      [echoCall('{}'), echoCall('{"number":2}')],
      `${invalid('number', 'number: is missing')}{"parameters":{"number":2}}\0`,
    ],
    [
      'broken JSON ends the connection',
      ['{"method":\0', echoCall('{"number":1}')],
      broken("Object value expected after ':' at position 10"),
    ],
    ['an empty message', ['\0'], broken('JSON value expected but reached end of input at position 0')],
    ['no object', ['[]\0'], broken('the message is not a JSON object')],
    ['no method', ['{}\0'], broken('the message has no "method"')],
    ['a flag that is none', ['{"method":"a.b","more":1}\0'], broken('"more" is not true or false')],
    ['upgrade', ['{"method":"a.b","upgrade":true}\0'], broken('"upgrade" is not supported')],
    [
      'the same key twice',
      ['{"method":"a.b","method":"c.d"}\0'],
      broken("Duplicate key 'method' encountered at position 17"),
    ],
    [
      'invalid UTF-8',
      [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d, 0])],
      broken('the message is not valid UTF-8'),
    ],
    [
      'a byte order mark',
      [Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d, 0])],
      broken("JSON value expected but got '\ufeff' at position 0"),
    ],
    ['nesting', [`${'['.repeat(100)}\0`], broken('the message is nested deeper than 32 levels')],
    [
      'a message over the limit',
      [`{"method":"${'x'.repeat(2000)}`],
      broken('a message has more than the 1024 bytes allowed'),
    ],
    ['nothing', [], ''],
    ['a message that never ends', ['{"method":"org.varlink'], ''],
  ])('%s', async (_what, pieces, reply) => {
    expect(await exchange(pieces)).toBe(reply);
  });
});

describe('hostile clients', () => {
  it('thousands of calls in one write are answered, in order', async () => {
    const numbers = Array.from({ length: 5000 }, (_, n) => n);
    const reply = await exchange([numbers.map((n) => echoCall(`{"number":${n}}`)).join('')]);
    expect(reply).toBe(numbers.map((n) => `{"parameters":{"number":${n}}}\0`).join(''));
  });

  it('calls beyond those that may arrive together are not carried out, and the rest of the way stays open', async () => {
    options = { ...OPTIONS, maxPipelined: 2 };
    const busy =
      '{"error":"io.deputy.Echo.Busy","parameters":{"message":"more than 2 calls arrived at once on this connection; read the answers before you send more","detail":{"allowed":2}}}\0';
    const numbered = (n: number): string => `{"parameters":{"number":${n}}}\0`;
    const oneway = echoCall('{"number":0}', ',"oneway":true');
    const flood = [1, 2, 3, 4].map((n) => echoCall(`{"number":${n}}`)).join('') + oneway;
    const socket = open();
    let got = '';
    socket.on('data', (chunk: Buffer) => {
      got += chunk;
    });
    const answered = async (text: string): Promise<void> => {
      while (got.length < text.length) await once(socket, 'data');
      expect(got).toBe(text);
    };
    socket.write(flood);
    await answered(numbered(1) + numbered(2) + busy + busy);
    got = '';
    socket.write(echoCall('{"number":5}'));
    await answered(numbered(5));
    socket.destroy();
  });

  it('one that never reads its replies is dropped, and the others are served', async () => {
    const deaf = open();
    deaf.pause();
    deaf.on('error', () => {});
    const flood = echoCall(`{"number":1,"text":"${'x'.repeat(900)}"}`).repeat(2000);
    deaf.write(flood);
    expect(await exchange([echoCall('{"number":7}')])).toBe('{"parameters":{"number":7}}\0');
    await Promise.all(served);
    deaf.destroy();
  });

  it('one that disappears in the middle harms nobody', async () => {
    for (let n = 0; n < 50; n++) {
      const socket = open();
      socket.on('error', () => {});
      socket.write(echoCall('{"number":1}').slice(0, n * 2));
      await new Promise((resolve) => socket.once('connect', resolve));
      socket.destroy();
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await exchange([echoCall('{"number":7}')])).toBe('{"parameters":{"number":7}}\0');
    await Promise.all(served);
  });

  it('one that sends without end is told why it is cut off, and no reset hides it', async () => {
    const socket = open();
    const chunks: Buffer[] = [];
    const errors: unknown[] = [];
    socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code));
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.write('x'.repeat(1 << 20));
    await once(socket, 'end');
    socket.end();
    await Promise.all(served);
    expect(Buffer.concat(chunks).toString()).toBe(broken('a message has more than the 1024 bytes allowed'));
    expect(errors).toEqual([]);
  });

  it('one that keeps sending after the end is cut off all the same', async () => {
    const socket = open();
    socket.on('error', () => {});
    socket.resume();
    socket.write('[]\0');
    const flood = setInterval(() => socket.write('x'.repeat(1000)), 5);
    await once(socket, 'connect');
    await Promise.all(served);
    clearInterval(flood);
    socket.destroy();
  });

  it('a stream ends when its reader has left', async () => {
    watchesEnded = 0;
    const socket = open();
    socket.write(call('io.deputy.Echo.Count', '{"to":100000000}', ',"more":true'));
    await once(socket, 'data');
    socket.destroy();
    await Promise.all(served);
  });

  it('a stream ends with a last reply when the daemon stops', async () => {
    watchesEnded = 0;
    const socket = open();
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.write(call('io.deputy.Echo.Watch', '{}', ',"more":true'));
    await once(socket, 'data');
    abort.abort();
    await once(socket, 'end');
    socket.end();
    await Promise.all(served);
    expect(Buffer.concat(chunks).toString()).toBe(
      '{"parameters":{"n":1},"continues":true}\0{"parameters":{"n":2}}\0',
    );
    expect(watchesEnded).toBe(1);
  });

  it('ends idle connections when the daemon stops', async () => {
    const idle = open();
    await new Promise((resolve) => idle.once('connect', resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const ended = new Promise((resolve) => idle.once('end', resolve));
    idle.resume();
    abort.abort();
    await ended;
    await Promise.all(served);
    idle.destroy();
  });
});
