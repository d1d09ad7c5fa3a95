import type { Peer } from './peer.ts';

/** The connection that a request came by. */
export interface Caller {
  readonly peer: Peer;
  /** Names the connection: leases end with it. */
  readonly connection: number;
}
