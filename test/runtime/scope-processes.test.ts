import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeputyError } from '../../host-api/errors.ts';
import { listScopeProcesses, MAX_SCOPE_CGROUPS } from '../../runtime/scope-processes.ts';
import { startThreaded, titled, type Victim, whyNoCgroups } from '../support/processes.ts';
import { TestCgroup } from '../support/test-cgroup.ts';

const why = whyNoCgroups();
const sorted = (pids: readonly number[]): number[] => [...pids].sort((a, b) => a - b);

describe.skipIf(why !== undefined)(titled('the processes of a scope', why), () => {
  let cgroup: TestCgroup;
  let victims: Victim[];

  beforeEach(async () => {
    cgroup = new TestCgroup('deputy-scope');
    victims = [await startThreaded(2), await startThreaded(2), await startThreaded(0)];
  });
  afterEach(async () => {
    for (const victim of victims) await victim.kill();
    await cgroup.remove();
  });

  const pid = (index: number): number => victims[index]?.pid ?? 0;

  it('are those of its cgroup and of all below, and no others', () => {
    cgroup.move(pid(0), cgroup.make('a'));
    cgroup.move(pid(1), cgroup.make('a/b/c'));
    cgroup.move(pid(2), cgroup.make('ab'));
    expect(sorted(listScopeProcesses(`${cgroup.path}/a`, cgroup.fs))).toEqual(sorted([pid(0), pid(1)]));
    expect(listScopeProcesses(`${cgroup.path}/a/b`, cgroup.fs)).toEqual([pid(1)]);
  });

  it('are found where their threads are spread over threaded cgroups, whose domain lists them', () => {
    const domain = cgroup.make('domain');
    const [one, two] = [cgroup.make('domain/one'), cgroup.make('domain/two')];
    cgroup.move(pid(0), domain);
    for (const path of [one, two]) cgroup.fs.write(path, 'cgroup.type', 'threaded');
    cgroup.fs.write(one, 'cgroup.threads', String(pid(0)));
    expect(listScopeProcesses(domain, cgroup.fs)).toEqual([pid(0)]);
    // A scope that is threaded itself, as one of a peer without a pattern may be: by its threads.
    expect(listScopeProcesses(one, cgroup.fs)).toEqual([pid(0)]);
    expect(listScopeProcesses(two, cgroup.fs)).toEqual([]);
  });

  it('of a scope that has been removed are none', () => {
    expect(listScopeProcesses(`${cgroup.path}/gone`, cgroup.fs)).toEqual([]);
  });

  it('are not looked for in ever more cgroups', () => {
    for (let n = 0; n <= MAX_SCOPE_CGROUPS; n++) cgroup.make(`many/${n}`);
    expect(() => listScopeProcesses(`${cgroup.path}/many`, cgroup.fs)).toThrow(
      expect.objectContaining({ code: 'NotSupported' }) as DeputyError,
    );
  });

  it('need cgroup v2', () => {
    expect(() => listScopeProcesses('/a', undefined)).toThrow(/needs cgroup v2/);
  });
});
