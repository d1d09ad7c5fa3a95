import { log } from '../log';

let aborting: bool = false;

/** Failed assertions, thrown errors and array bounds end here: the decision is a fault, and the log says where. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  // Out of memory, the message below aborts too.
  if (!aborting) {
    aborting = true;
    log.error(
      `aborted: ${message === null ? 'no message' : message} (${file === null ? '?' : file}:${line}:${column})`,
    );
  }
  unreachable();
}
