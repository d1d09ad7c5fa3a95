/** A daemon of one connection: prints who it is, or why it is nobody. To be run in namespaces of its own. */
import { createServer } from 'node:net';
import { DeputyError } from '../../host-api/errors.ts';
import { Peer } from '../../runtime/peer.ts';
import { descriptorOf } from './puppet.ts';

const server = createServer((socket) => {
  try {
    const { uid, ownPid } = Peer.open(descriptorOf(socket));
    console.log(JSON.stringify({ uid, ownPid }));
  } catch (error) {
    console.log(
      JSON.stringify(
        error instanceof DeputyError ? { code: error.code, message: error.message } : String(error),
      ),
    );
  }
  process.exit(0);
}).listen(process.argv[2], () => console.log('listening'));
server.unref();
setTimeout(() => process.exit(1), 20_000);
