import type { Json } from '../varlink/json.ts';
import { VarlinkError } from '../varlink/service.ts';

/**
 * Looks at nothing but the version: what the other parameters mean depends on it. A missing or mistyped version is left
 * to the definition, which says so.
 */
export function precheckVersion(interfaceName: string, supported: number, parameters: Json): void {
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) return;
  const { version } = parameters;
  if (typeof version !== 'bigint' || version === BigInt(supported)) return;
  throw new VarlinkError(`${interfaceName}.VersionMismatch`, {
    message: `the call speaks version ${version} of ${interfaceName}, this daemon speaks ${supported}`,
    requested: version,
    supported,
  });
}
