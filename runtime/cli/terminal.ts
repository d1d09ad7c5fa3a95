/** What a command sees of the process it runs in, so that tests can run it in theirs. */
import { stringify } from 'lossless-json';
import { EXIT, type ExitCode } from './exit-code.ts';

export class Terminal {
  readonly #write: { out(text: string): void; err(text: string): void };
  readonly env: NodeJS.ProcessEnv;
  /** Set by a command that has done its work and found something; a Failure overrules it. */
  exitCode: ExitCode = EXIT.ok;

  constructor(write: { out(text: string): void; err(text: string): void }, env: NodeJS.ProcessEnv) {
    this.#write = write;
    this.env = env;
  }

  /** One line, or several, of the result. */
  print(text: string): void {
    this.#write.out(`${text}\n`);
  }

  /** As it is, without a newline. */
  printRaw(text: string): void {
    this.#write.out(text);
  }

  /** The result as JSON with exact integers; on one line where it is one of many. */
  printJson(value: unknown, indent: 0 | 2 = 2): void {
    this.#write.out(`${stringify(value, undefined, indent)}\n`);
  }

  complain(text: string): void {
    this.#write.err(`${text}\n`);
  }

  complainRaw(text: string): void {
    this.#write.err(text);
  }
}

/** Texts of others may hold escape sequences: a plugin's reason must not write on the operator's terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (char) =>
    char === '\n' ? '\n' : `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}
