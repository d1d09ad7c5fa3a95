export { Client, connect, DEFAULT_SOCKET, type Explainable, INTERFACE_VERSION } from './client.ts';
export { Connection, type ConnectOptions, type Reply } from './connection.ts';
export { CallError, ConnectionError } from './errors.ts';
export type * from './types.ts';
