import { printable } from './terminal.ts';

/**
 * An audit record on one line: number, time, verdict, who asked for what and why it was refused. Records of later
 * versions may lack or add members, so nothing of their shape is taken for granted.
 */
export function describeRecord(record: Readonly<Record<string, unknown>>): string {
  const { seq, time, kind, verdict } = record;
  const peer = member(record, 'peer');
  const target = member(record, 'target');
  const operation = member(record, 'operation')['tag'];
  const scope = member(record, 'scope')['path'];
  const message = member(record, 'error')['message'];
  const who = peer['uid'] === undefined ? '' : `uid ${peer['uid']} pid ${peer['pid']}`;
  const parts = [
    seq,
    time,
    kind === 'request' ? undefined : kind,
    verdict,
    operation,
    who,
    target['pid'] !== undefined && target['pid'] !== peer['pid'] ? `for pid ${target['pid']}` : undefined,
    scope === undefined ? undefined : `in ${scope}`,
    record['plugin'] === undefined ? undefined : `by ${record['plugin']}`,
    message === undefined ? undefined : `: ${message}`,
  ];
  return printable(
    parts
      .filter((part) => part !== undefined && part !== '')
      .map(String)
      .join(' ')
      .replaceAll(' : ', ': ')
      .replaceAll('\n', ' '),
  );
}

/** Of a record whose shape is not taken for granted: empty where there is no such object. */
export function member(record: Readonly<Record<string, unknown>>, name: string): Record<string, unknown> {
  const value = record[name];
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
