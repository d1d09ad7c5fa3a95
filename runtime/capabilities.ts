/** What this host and this daemon can do. Asked for by clients, told at start, and by the demo. */
import { readFileSync } from 'node:fs';
import type { OperationName } from '../host-api/contract.ts';
import type { Stations } from './handle-request.ts';

/** linux/capability.h */
const CAPABILITIES = { CAP_SYS_NICE: 23, CAP_SYS_RESOURCE: 24 } as const;

export interface Capability {
  readonly name: OperationName;
  readonly available: boolean;
  /** Why not, or what is missing of it. */
  readonly reason: string | undefined;
}

/** Whether the daemon has the capability in effect (capabilities(7), /proc/self/status CapEff). */
export function hasCapability(name: keyof typeof CAPABILITIES): boolean {
  const status = readFileSync('/proc/self/status', 'latin1');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return ((effective >> BigInt(CAPABILITIES[name])) & 1n) === 1n;
}

export function capabilitiesOf({
  chains,
  cgroupFs,
  groups,
}: Pick<Stations, 'chains' | 'cgroupFs' | 'groups'>): Capability[] {
  const of = (name: OperationName, missing: string | undefined, limited?: string): Capability => {
    const reason = chains[name].length === 0 ? `no plugin is bound to ${name}` : missing;
    return { name, available: reason === undefined, reason: reason ?? limited };
  };
  return [
    of(
      'set-memlock',
      undefined,
      hasCapability('CAP_SYS_RESOURCE')
        ? undefined
        : 'CAP_SYS_RESOURCE is missing: limits of the daemon’s own user can be lowered, and no others changed',
    ),
    of(
      'move-cgroup',
      cgroupFs === undefined
        ? 'the host has no cgroup v2 hierarchy, or shows only a part of it'
        : groups.size === 0
          ? 'deputy.toml defines no group'
          : undefined,
    ),
    of(
      'set-scheduler',
      undefined,
      hasCapability('CAP_SYS_NICE')
        ? undefined
        : 'CAP_SYS_NICE is missing: threads of the daemon’s own user get other CPUs and lower priorities, and no others any',
    ),
  ];
}
