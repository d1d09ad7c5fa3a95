/** From a method's name as people write it to its definition. */
import type { Connection } from '../../client/connection.ts';
import { ADMIN } from '../broker/admin-interface.ts';
import { BROKER } from '../broker/interface.ts';
import { type IdlInterface, type IdlStruct, parseIdl } from '../varlink/idl.ts';
import type { Role } from './daemon.ts';
import { EXIT, Failure } from './exit-code.ts';

export interface KnownMethod {
  /** "io.deputy.Broker.Ping" */
  readonly fullName: string;
  readonly idl: IdlInterface;
  readonly input: IdlStruct;
  readonly output: IdlStruct;
}

const OWN: readonly IdlInterface[] = [BROKER, ADMIN];

export function roleOf(name: string): Role {
  return (ownMethod(name)?.idl ?? BROKER) === ADMIN ? 'admin' : 'broker';
}

/** Short names are deputy's own; of any other interface the daemon is asked for the definition. Throws Failure. */
export async function findMethod(name: string, connection: Connection): Promise<KnownMethod> {
  const own = ownMethod(name);
  if (own !== undefined) return own;
  const dot = name.lastIndexOf('.');
  const interfaceName = name.slice(0, dot);
  if (dot <= 0 || OWN.some((idl) => idl.name === interfaceName)) throw unknownMethod(name);
  const { description } = await connection.call('org.varlink.service.GetInterfaceDescription', {
    interface: interfaceName,
  });
  const idl = parseIdl(String(description));
  return methodOf(idl, name.slice(dot + 1)) ?? fail(unknownMethod(name, [idl]));
}

export function ownMethod(name: string): KnownMethod | undefined {
  for (const idl of OWN) {
    const found = methodOf(idl, name.startsWith(`${idl.name}.`) ? name.slice(idl.name.length + 1) : name);
    if (found !== undefined) return found;
  }
  return undefined;
}

export function ownMethodNames(): string[] {
  return OWN.flatMap(({ methods }) => [...methods.keys()]);
}

function methodOf(idl: IdlInterface, name: string): KnownMethod | undefined {
  const signature = idl.methods.get(name);
  return signature && { fullName: `${idl.name}.${name}`, idl, ...signature };
}

function unknownMethod(name: string, interfaces = OWN): Failure {
  const known = interfaces.flatMap(({ methods }) => [...methods.keys()]).join(', ');
  return new Failure(EXIT.usage, `there is no method ${JSON.stringify(name)}; there are ${known}`);
}

function fail(failure: Failure): never {
  throw failure;
}
