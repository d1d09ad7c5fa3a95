import { beforeAll, describe, expect, it } from 'vitest';
import type { Facts, Operation } from '../../../host-api/contract.ts';
import type { Plugin } from '../../../runtime/sandbox/seam.ts';
import { bytes, FACTS, input } from '../../runtime/sandbox/inputs.ts';
import { compileText, load } from './policy.ts';

/** Logs all that a policy can read, a line each, and denies with what was asked. */
const POLICY = `
import { Label, Limit, Operation, Thread, Verdict, deny, ledger, log, policyName, subject, target } from '@deputy/sdk-as';

function say(name: string, value: string): void {
  log.info(name + '=' + value);
}

function thread(one: Thread): string {
  return [
    one.tid.toString(), one.commUntrusted, policyName(one.policy), one.priority.toString(), one.nice.toString(),
    one.affinity.join('+'), one.cgroup,
  ].join(' ');
}

export function decide(operation: Operation): Verdict {
  say('subject.uid', subject.uid().toString());
  say('subject.gid', subject.gid().toString());
  say('subject.scope', subject.scope());
  say('subject.scopeName', subject.scopeName());
  say('subject.labels', subject.labels().map<string>((label: Label): string => label.name + ':' + label.value).join(','));
  const tenant = subject.label('tenant');
  say('label.tenant', tenant === null ? 'null' : tenant);
  const absent = subject.label('absent');
  say('label.absent', absent === null ? 'null' : absent);
  say('target.uid', target.uid().toString());
  say('target.gid', target.gid().toString());
  say('target.isSubject', target.isSubject().toString());
  const memlock = target.memlock();
  say('target.memlock', memlock.soft.toString() + ' ' + memlock.hard.toString());
  say('target.cgroup', target.cgroup());
  say('target.memoryLimit', target.memoryLimit().toString());
  say('target.cpus', target.cpus().join(','));
  say('target.wholeProcess', target.wholeProcess().toString());
  say('target.threads', target.threads().map<string>((one: Thread): string => thread(one)).join(';'));
  say('target.comm', target.commUntrusted());
  say('ledger.memlockBytes', ledger.memlockBytes().toString());
  say('ledger.realtimeThreads', ledger.realtimeThreads().toString());
  const asked = operation.memlock;
  if (asked !== null) return deny(operation.name + ' ' + asked.soft.toString() + ' ' + asked.hard.toString());
  const move = operation.cgroup;
  if (move !== null) return deny(operation.name + ' ' + move.group);
  return deny(operation.name + ' ' + operation.scheduling!.toString());
}
`;

let plugin: Plugin;
beforeAll(async () => {
  plugin = await load(await compileText(POLICY));
}, 60_000);

function read(operation?: Operation, facts?: Facts): { facts: Record<string, string>; asked: string } {
  const { verdict, log, fault } = plugin.decide(input(operation, facts));
  expect(fault).toBeUndefined();
  if (verdict.tag !== 'deny') throw new Error(`verdict ${verdict.tag}`);
  const lines = log.map(({ message }) => message.split(/=(.*)/s, 2) as [string, string]);
  return { facts: Object.fromEntries(lines), asked: verdict.val };
}

describe('facts, as a policy sees them', () => {
  it('are those of the snapshot', () => {
    expect(read().facts).toEqual({
      'subject.uid': '1000',
      'subject.gid': '100',
      'subject.scope': '/machine.slice/qemu-1.scope',
      'subject.scopeName': 'machine',
      'subject.labels': 'machine:qemu-1,tenant:grün',
      'label.tenant': 'grün',
      'label.absent': 'null',
      'target.uid': '1001',
      'target.gid': '101',
      'target.isSubject': 'true',
      'target.memlock': '8 MiB unlimited',
      'target.cgroup': '/machine.slice/qemu-1.scope/emulator',
      'target.memoryLimit': '1 GiB',
      'target.cpus': '0,1,2,3',
      'target.wholeProcess': 'true',
      'target.threads':
        '4711 qemu-system-x86 other 0 0 0+1 /machine.slice/qemu-1.scope/emulator;' +
        '4712 CPU 0/KVM fifo 2 -5  /machine.slice/qemu-1.scope/vcpu0',
      'target.comm': 'qemu-system-x86',
      'ledger.memlockBytes': '67108864',
      'ledger.realtimeThreads': '3',
    });
  });

  it('at their edges: empty texts and lists, no limit, the largest numbers', () => {
    const { facts } = read(undefined, {
      subject: { uid: 0xffff_fffe, gid: 0, scope: '', scopeName: '', labels: [] },
      target: {
        ...FACTS.target,
        uid: 0,
        gid: 0xffff_fffe,
        isSubject: false,
        memlock: { soft: bytes(0n), hard: bytes(0xffff_ffff_ffff_fffen) },
        memoryLimit: undefined,
        cpus: [],
        wholeProcess: false,
        threads: [],
        commUntrusted: '',
      },
      ledger: { memlockBytes: 0xffff_ffff_ffff_ffffn, realtimeThreads: 0xffff_ffff },
    });
    expect(facts).toMatchObject({
      'subject.uid': '4294967294',
      'subject.scope': '',
      'subject.labels': '',
      'label.tenant': 'null',
      'target.gid': '4294967294',
      'target.isSubject': 'false',
      'target.memlock': '0 B 18446744073709551614 B',
      'target.memoryLimit': 'unlimited',
      'target.cpus': '',
      'target.wholeProcess': 'false',
      'target.threads': '',
      'ledger.memlockBytes': '18446744073709551615',
      'ledger.realtimeThreads': '4294967295',
    });
  });

  it.each([
    ['two bytes', 'grün'],
    ['three bytes', '日本語'],
    ['four bytes, surrogates in AssemblyScript', 'a🦊𝔘z'],
    ['NUL within', 'a\0b'],
    ['ends of the planes', '\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}'],
    ['long', 'é'.repeat(2000)],
  ])('text of %s goes in and out unchanged', (_, text) => {
    const target = { ...FACTS.target, commUntrusted: text };
    expect(read(undefined, { ...FACTS, target }).facts['target.comm']).toBe(text);
    expect(read({ tag: 'move-cgroup', val: { group: text } }).asked).toBe(`move-cgroup ${text}`);
  });

  it.each<[string, Operation]>([
    [
      'set-memlock 1 B unlimited',
      { tag: 'set-memlock', val: { soft: bytes(1n), hard: { tag: 'unlimited' } } },
    ],
    [
      'set-memlock unlimited 3 TiB',
      { tag: 'set-memlock', val: { soft: { tag: 'unlimited' }, hard: bytes(3n << 40n) } },
    ],
    ['move-cgroup ', { tag: 'move-cgroup', val: { group: '' } }],
    ['set-scheduler nothing', scheduling({})],
    ['set-scheduler rr, priority 7', scheduling({ policy: 'rr', priority: 7 })],
    ['set-scheduler other, nice -20', scheduling({ policy: 'other', nice: -20 })],
    ['set-scheduler CPUs 0,5,63', scheduling({ affinity: [0, 5, 63] })],
    ['set-scheduler priority 0, nice 0, CPUs ', scheduling({ priority: 0, nice: 0, affinity: [] })],
  ])('asked "%s"', (asked, operation) => {
    expect(read(operation).asked).toBe(asked);
  });
});

type Change = Extract<Operation, { tag: 'set-scheduler' }>['val'];
function scheduling(change: Partial<Change>): Operation {
  const nothing = { policy: undefined, priority: undefined, nice: undefined, affinity: undefined };
  return { tag: 'set-scheduler', val: { ...nothing, ...change } };
}
