import { log_write } from './abi/imports';
import { withString } from './abi/memory';

function write(level: i32, message: string): void {
  const text = withString(message);
  log_write(level, changetype<usize>(text), text.byteLength);
}

/** The daemon's log, under this plugin's name. What exceeds the manifest's `log_bytes` is dropped and counted. */
export namespace log {
  export function debug(message: string): void {
    write(0, message);
  }

  export function info(message: string): void {
    write(1, message);
  }

  export function warn(message: string): void {
    write(2, message);
  }

  export function error(message: string): void {
    write(3, message);
  }
}
