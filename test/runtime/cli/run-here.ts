import { run } from '../../../runtime/cli/run.ts';
import { Terminal } from '../../../runtime/cli/terminal.ts';

export interface Ran {
  readonly out: string;
  readonly err: string;
  readonly code: number;
}

/** Runs deputyctl in this process: `deputyctl('call', 'Ping')`. */
export async function deputyctl(env: NodeJS.ProcessEnv, ...words: readonly string[]): Promise<Ran> {
  const written = { out: '', err: '' };
  const terminal = new Terminal(
    {
      out: (text) => {
        written.out += text;
      },
      err: (text) => {
        written.err += text;
      },
    },
    env,
  );
  const code = await run(words, terminal);
  return { ...written, code };
}
