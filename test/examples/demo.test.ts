/** `npm run demo` on hosts that lack something, as containers do: it says what, and ends as expected all the same. */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { titled } from '../support/processes.ts';

const DEMO = new URL('../../dist/examples/demo/demo.js', import.meta.url).pathname;

/** What docker leaves to root by default (docs.docker.com, "Runtime privilege and Linux capabilities"). */
const CONTAINER =
  '-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap';

const without = (capabilities: string, ...words: string[]) =>
  spawnSync('setpriv', [`--bounding-set=${capabilities}`, '--inh-caps=-all', ...words], { encoding: 'utf8' });
const whyNot =
  without('-sys_nice', 'true').status === 0 ? undefined : 'this process may not give up capabilities';

it.skipIf(whyNot !== undefined).each(['-sys_nice', '-sys_nice,-sys_resource', CONTAINER])(
  titled('the demo ends as expected without %s', whyNot),
  (capabilities) => {
    const { stdout, stderr, status } = without(capabilities, process.execPath, DEMO);
    expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/CAP_SYS_NICE is missing/);
    expect(stdout).toMatch(/: all as expected here\n$/);
  },
  30_000,
);
