import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Problem } from './problem.ts';

const GROUP_OR_OTHERS_WRITE = 0o022;

/**
 * Reads a file that decides what root does. Ownership and mode are those of the very file that is read (fstat on the
 * open descriptor, not a second look at the path), since whoever can write it commands the daemon.
 */
export function readTrustedFile(file: string, maxBytes: number): Uint8Array | Problem {
  return readRegularFile(file, maxBytes, true);
}

/** For the tools of plugin authors, whose files command nobody yet: whoever may write them is their business. */
export function readOwnFile(file: string, maxBytes: number): Uint8Array | Problem {
  return readRegularFile(file, maxBytes, false);
}

function readRegularFile(file: string, maxBytes: number, trusted: boolean): Uint8Array | Problem {
  const problem = (message: string, remedy: string): Problem => ({
    file,
    line: undefined,
    column: undefined,
    message,
    remedy,
  });
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT'
      ? problem('the file does not exist', 'create it, or correct the name')
      : problem(`can't be opened: ${code}`, 'let the daemon read it');
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return problem('is not a regular file', 'replace it with one');
    const own = process.geteuid?.();
    if (trusted && stat.uid !== 0 && stat.uid !== own) {
      return problem(`belongs to uid ${stat.uid}, not to root`, `chown root ${file}`);
    }
    if (trusted && (stat.mode & GROUP_OR_OTHERS_WRITE) !== 0) {
      return problem(
        `is writable by group or others (mode 0${(stat.mode & 0o777).toString(8)})`,
        `chmod go-w ${file}`,
      );
    }
    if (stat.size > maxBytes) {
      return problem(
        `has ${stat.size} bytes, more than the ${maxBytes} allowed`,
        'make it smaller, or raise the limit',
      );
    }
    const bytes = new Uint8Array(stat.size);
    let length = 0;
    while (length < bytes.length) {
      const read = readSync(fd, bytes, length, bytes.length - length, null);
      if (read === 0) break;
      length += read;
    }
    return bytes.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}
