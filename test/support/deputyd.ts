/** deputyd as a process of its own, from the sources. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const PROGRAM = join(import.meta.dirname, '../../runtime/deputyd.ts');
/** As `npm ci` has built it: on Node 20, threads of a program that runs from its sources know no TypeScript. */
export const BUILT_PROGRAM = join(import.meta.dirname, '../../dist/runtime/deputyd.js');

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export class DaemonProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #out = '';
  #err = '';

  constructor(
    words: readonly string[],
    env: NodeJS.ProcessEnv = {},
    wrapper: readonly string[] = [],
    stdio: (number | 'pipe' | 'ignore')[] = [],
    program = PROGRAM,
  ) {
    const [command = '', ...args] = [...wrapper, process.execPath, '--import', 'tsx', program, ...words];
    this.child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', ...stdio],
    });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.#out += chunk;
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.#err += chunk;
    });
    this.ended = once(this.child, 'close').then(([code, signal]) => ({
      code,
      signal,
      out: this.#out,
      err: this.#err,
    }));
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** Its log so far, one object a line. */
  get log(): Record<string, unknown>[] {
    return this.#out
      .slice(0, this.#out.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  /** Resolves with the record once it is logged. Throws where the daemon ends before. */
  async logged(message: string): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.log.find(({ msg }) => msg === message);
      if (found !== undefined) return found;
      const { stdout } = this.child;
      if (stdout === null) throw new Error('no output');
      const over = await Promise.race([once(stdout, 'data').then(() => undefined), this.ended]);
      if (over !== undefined) throw new Error(`deputyd ended with ${over.code ?? over.signal}: ${over.err}`);
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.child.kill(signal);
    return this.ended;
  }
}
