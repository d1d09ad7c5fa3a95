import type { Account } from '../abi/account.ts';
import { COSTS } from '../abi/costs.ts';
import type { PolicyHost } from '../policy-host.ts';
import { nextRandom } from '../wasi-deny.ts';

/**
 * WASI 0.2 as the toolchains of components import it, with nothing behind it: what `../wasi-deny.ts` is for core
 * modules. No sockets, no HTTP, no files; an interface that is not here is refused at load. Keys as the generated code
 * looks them up: without a version, functions in camel case, resources as classes.
 */
export type WasiInterfaces = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** The interfaces that a component may import, in any version 0.2.x. */
export const WASI_INTERFACES: ReadonlySet<string> = new Set([
  'wasi:cli/environment',
  'wasi:cli/exit',
  'wasi:cli/stdin',
  'wasi:cli/stdout',
  'wasi:cli/stderr',
  'wasi:cli/terminal-input',
  'wasi:cli/terminal-output',
  'wasi:cli/terminal-stdin',
  'wasi:cli/terminal-stdout',
  'wasi:cli/terminal-stderr',
  'wasi:clocks/monotonic-clock',
  'wasi:clocks/wall-clock',
  'wasi:filesystem/preopens',
  'wasi:filesystem/types',
  'wasi:io/error',
  'wasi:io/poll',
  'wasi:io/streams',
  'wasi:random/random',
  'wasi:random/insecure',
  'wasi:random/insecure-seed',
]);

/** How much a plugin may write to a stream at once. */
const WRITE_BYTES = 4096;
/** The most random bytes at once; a plugin that wants more gets a fault. */
const MAX_RANDOM_BYTES = 65536;

/** An error that the generated code turns into `err(payload)`. */
class WasiError extends Error {
  readonly payload: unknown;

  constructor(payload: unknown) {
    super('WASI error');
    this.payload = payload;
  }
}

export function wasiInterfaces(account: Account, host: PolicyHost): WasiInterfaces {
  const pay = (path: string): void => host.pay(path);
  const closed = (path: string): never => {
    pay(path);
    throw new WasiError({ tag: 'closed' });
  };

  class Pollable {
    ready(): boolean {
      pay('wasi:io/poll ready');
      return true;
    }
    block(): void {
      pay('wasi:io/poll block');
    }
  }

  class IoError {
    toDebugString(): string {
      pay('wasi:io/error to-debug-string');
      return 'denied';
    }
  }

  class InputStream {
    read(): never {
      return closed('wasi:io/streams read');
    }
    blockingRead(): never {
      return closed('wasi:io/streams blocking-read');
    }
    skip(): never {
      return closed('wasi:io/streams skip');
    }
    blockingSkip(): never {
      return closed('wasi:io/streams blocking-skip');
    }
    subscribe(): Pollable {
      pay('wasi:io/streams subscribe');
      return new Pollable();
    }
  }

  class OutputStream {
    readonly #fd: 1 | 2;
    constructor(fd: 1 | 2) {
      this.#fd = fd;
    }
    checkWrite(): bigint {
      pay('wasi:io/streams check-write');
      return BigInt(WRITE_BYTES);
    }
    write(contents: unknown): void {
      pay('wasi:io/streams write');
      if (!(contents instanceof Uint8Array) || contents.length > WRITE_BYTES) {
        account.fail('abi', `a write to a stream of more than ${WRITE_BYTES} bytes`);
      }
      account.charge(contents.length * COSTS.byte);
      host.call.write(this.#fd, contents);
    }
    blockingWriteAndFlush(contents: unknown): void {
      this.write(contents);
    }
    flush(): void {
      pay('wasi:io/streams flush');
    }
    blockingFlush(): void {
      pay('wasi:io/streams blocking-flush');
    }
    writeZeroes(): never {
      return closed('wasi:io/streams write-zeroes');
    }
    blockingWriteZeroesAndFlush(): never {
      return closed('wasi:io/streams blocking-write-zeroes-and-flush');
    }
    splice(): never {
      return closed('wasi:io/streams splice');
    }
    blockingSplice(): never {
      return closed('wasi:io/streams blocking-splice');
    }
    subscribe(): Pollable {
      pay('wasi:io/streams subscribe');
      return new Pollable();
    }
  }

  // No plugin ever holds one of these: there is nothing to get one from.
  class Descriptor {}
  class DirectoryEntryStream {}
  class TerminalInput {}
  class TerminalOutput {}

  const randomBytes = (length: unknown): Uint8Array => {
    pay('wasi:random get-random-bytes');
    const size = Number(length);
    if (!(size <= MAX_RANDOM_BYTES)) account.fail('abi', `${size} random bytes at once`);
    account.charge(size * COSTS.byte);
    return Uint8Array.from({ length: size }, () => nextRandom(host.call));
  };
  const randomU64 = (): bigint => Buffer.from(randomBytes(8)).readBigUInt64LE();
  const answer =
    <T>(path: string, value: () => T) =>
    (): T => {
      pay(path);
      return value();
    };
  const nothing = (path: string): (() => undefined) => answer(path, () => undefined);

  return {
    'wasi:cli/environment': {
      getEnvironment: answer('wasi:cli/environment get-environment', () => []),
      getArguments: answer('wasi:cli/environment get-arguments', () => []),
      initialCwd: nothing('wasi:cli/environment initial-cwd'),
    },
    'wasi:cli/exit': {
      exit: () => account.fail('trap', 'the plugin called exit'),
      exitWithCode: () => account.fail('trap', 'the plugin called exit'),
    },
    'wasi:cli/stdin': { getStdin: answer('wasi:cli/stdin get-stdin', () => new InputStream()) },
    'wasi:cli/stdout': { getStdout: answer('wasi:cli/stdout get-stdout', () => new OutputStream(1)) },
    'wasi:cli/stderr': { getStderr: answer('wasi:cli/stderr get-stderr', () => new OutputStream(2)) },
    'wasi:cli/terminal-input': { TerminalInput },
    'wasi:cli/terminal-output': { TerminalOutput },
    'wasi:cli/terminal-stdin': { getTerminalStdin: nothing('wasi:cli/terminal-stdin') },
    'wasi:cli/terminal-stdout': { getTerminalStdout: nothing('wasi:cli/terminal-stdout') },
    'wasi:cli/terminal-stderr': { getTerminalStderr: nothing('wasi:cli/terminal-stderr') },
    'wasi:clocks/monotonic-clock': {
      now: answer('wasi:clocks/monotonic-clock now', () => 0n),
      resolution: answer('wasi:clocks/monotonic-clock resolution', () => 1n),
      subscribeInstant: answer('wasi:clocks/monotonic-clock subscribe-instant', () => new Pollable()),
      subscribeDuration: answer('wasi:clocks/monotonic-clock subscribe-duration', () => new Pollable()),
    },
    'wasi:clocks/wall-clock': {
      now: answer('wasi:clocks/wall-clock now', () => ({ seconds: 0n, nanoseconds: 0 })),
      resolution: answer('wasi:clocks/wall-clock resolution', () => ({ seconds: 0n, nanoseconds: 1 })),
    },
    'wasi:filesystem/preopens': {
      getDirectories: answer('wasi:filesystem/preopens get-directories', () => []),
    },
    'wasi:filesystem/types': {
      Descriptor,
      DirectoryEntryStream,
      filesystemErrorCode: nothing('wasi:filesystem/types filesystem-error-code'),
    },
    'wasi:io/error': { Error: IoError },
    'wasi:io/poll': {
      Pollable,
      poll: (pollables: unknown) => {
        pay('wasi:io/poll poll');
        return Uint32Array.from(
          { length: Array.isArray(pollables) ? pollables.length : 0 },
          (_, index) => index,
        );
      },
    },
    'wasi:io/streams': { InputStream, OutputStream },
    'wasi:random/random': { getRandomBytes: randomBytes, getRandomU64: randomU64 },
    'wasi:random/insecure': { getInsecureRandomBytes: randomBytes, getInsecureRandomU64: randomU64 },
    'wasi:random/insecure-seed': { insecureSeed: answer('wasi:random/insecure-seed', () => [0n, 0n]) },
  };
}
