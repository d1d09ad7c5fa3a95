/** A datagram to a unix socket, which Node has no way to send: what sd_notify(3) is made of. */
import { bind, check } from './libc.ts';

const socket = bind('socket', 'int', ['int', 'int', 'int']);
const sendto = bind('sendto', 'long', ['int', 'void *', 'ulong', 'int', 'void *', 'uint']);
const close = bind('close', 'int', ['int']);

/** sys/socket.h, the same on x64 and arm64 */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const PATH_OFFSET = 2;
const PATH_BYTES = 108;

/** `address`: an absolute path, or "@" and the name of an abstract socket (unix(7)). Throws a KernelError. */
export function sendDatagram(address: string, message: string): void {
  const path = Buffer.from(address.startsWith('@') ? `\0${address.slice(1)}` : address);
  if (path.length >= PATH_BYTES)
    throw new RangeError(`the socket address has ${path.length} bytes, 107 at most`);
  const name = Buffer.alloc(PATH_OFFSET + path.length);
  name.writeUInt16LE(AF_UNIX, 0);
  path.copy(name, PATH_OFFSET);
  const bytes = Buffer.from(message);
  const fd = check('socket', 'a datagram socket', () => socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  try {
    check('sendto', 'the notify socket', () =>
      sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, name, name.length),
    );
  } finally {
    close(fd);
  }
}
