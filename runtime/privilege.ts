/**
 * The daemon's own privileges: laid down before the first plugin is loaded, by executing the program a second time with
 * what is left (docs/decisions/privilege.md).
 */
import { accessSync, constants } from 'node:fs';
import {
  type CapabilityName,
  type CapabilitySet,
  capabilitySet,
  clearAmbient,
  executeAgain,
  layDownAllBut,
  readPrivileges,
} from '../host-api/kernel/privilege.ts';
import { StartError } from './start-error.ts';

/** Set for the second image, so that two can't follow each other for ever. */
const STAGE_VARIABLE = 'DEPUTYD_PRIVILEGES_LAID_DOWN';

const NEEDED: readonly CapabilityName[] = ['CAP_SYS_RESOURCE', 'CAP_SYS_NICE'];

/** What the daemon keeps, of what it has. Root writes to cgroup files as their owner and needs no capability for it. */
export function capabilitiesToKeep(delegatedCgroups: boolean): CapabilitySet {
  return capabilitySet(delegatedCgroups ? [...NEEDED, 'CAP_DAC_OVERRIDE'] : NEEDED);
}

/**
 * Returns in a process without a capability beyond `keep` and with no_new_privs. `program` is the script that runs;
 * `inherited` how many descriptors from 3 on the service manager handed over; `restrict` gives up files once
 * no_new_privs is set, or says why it can't. Throws StartError.
 */
export function layDownPrivileges(
  keep: CapabilitySet,
  program: string,
  inherited: number,
  restrict: () => string | undefined,
): void {
  const { [STAGE_VARIABLE]: stage, ...env } = process.env;
  delete process.env[STAGE_VARIABLE];
  const { permitted, noNewPrivs } = readPrivileges();
  if (noNewPrivs && (permitted & ~keep) === 0n) {
    clearAmbient();
    return;
  }
  if (stage !== undefined) {
    throw new StartError(`privileges could not be laid down: 0x${permitted.toString(16)} are left`);
  }
  try {
    layDownAllBut(keep);
    for (const [file, mode] of [
      [process.execPath, constants.X_OK],
      [program, constants.R_OK],
    ] as const) {
      assertAccess(file, mode);
    }
    const unrestricted = restrict();
    if (unrestricted !== undefined) process.stderr.write(`deputyd: files stay in reach: ${unrestricted}\n`);
    executeAgain({ ...env, [STAGE_VARIABLE]: '1' }, inherited);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`privileges can't be laid down: ${(error as Error).message}`);
  }
}

/** Root without CAP_DAC_OVERRIDE can't enter another user's home: better said here than by a second image that is mute. */
function assertAccess(file: string, mode: number): void {
  try {
    accessSync(file, mode);
  } catch {
    throw new StartError(
      `${file} can't be read once privileges are laid down: install it where its folders are open to root without CAP_DAC_OVERRIDE`,
    );
  }
}
