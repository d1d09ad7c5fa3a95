import { beforeAll, describe, expect, it } from 'vitest';
import { settingsJson } from '../../../runtime/config/manifest.ts';
import { input } from '../../runtime/sandbox/inputs.ts';
import { compileText, load } from './policy.ts';

/** Reads a setting of each kind, and says what it has read. */
const POLICY = `
import { Operation, Settings, Verdict, deny } from '@deputy/sdk-as';

let read: string = '';

export function init(settings: Settings): void {
  const parts = [
    settings.textOr('text', '-'),
    settings.flagOr('flag', false).toString(),
    settings.integerOr('integer', -1).toString(),
    settings.integerOr('nice', 0, -20, 19).toString(),
    settings.numberOr('number', 9, 1, 99).toString(),
    settings.bytesOr('bytes', 8).toString(),
    settings.textsOr('texts', ['a']).join('+'),
    settings.numbersOr('numbers', []).join('+'),
  ];
  if (settings.has('needs')) {
    settings.text('t');
    settings.flag('f');
    settings.integer('i');
    settings.number('n');
    settings.bytes('b');
    settings.texts('ts');
    settings.numbers('ns');
  }
  if (parts[0] == 'odd') settings.refuse('text', 'must not be odd');
  read = parts.join(' ');
}

export function decide(operation: Operation): Verdict {
  return deny(read);
}
`;

let wasm: Uint8Array;
beforeAll(async () => {
  wasm = await compileText(POLICY);
}, 60_000);

type Settings = Parameters<typeof settingsJson>[0];

async function readBack(settings: Settings): Promise<string> {
  const { verdict } = (await load(wasm, settingsJson(settings))).decide(input());
  return verdict.tag === 'deny' ? verdict.val : verdict.tag;
}

describe('settings', () => {
  it.each<[string, Settings, string]>([
    ['none at all', {}, '- false -1 0 9 8 a '],
    [
      'all',
      {
        text: 'grün 🦊',
        flag: true,
        integer: 5n,
        nice: -20n,
        number: 99n,
        bytes: 4096n,
        texts: ['x', 'y'],
        numbers: [0n, 4294967295n],
      },
      'grün 🦊 true 5 -20 99 4096 x+y 0+4294967295',
    ],
    ['escapes', { text: '"\\/\b\f\n\r\t\u0001\u2028' }, '"\\/\b\f\n\r\t\u0001\u2028 false -1 0 9 8 a '],
    [
      'the largest',
      { integer: 2n ** 63n - 1n, bytes: 2n ** 63n - 1n },
      '- false 9223372036854775807 0 9 9223372036854775807 a ',
    ],
    ['the smallest', { integer: -(2n ** 63n) }, '- false -9223372036854775808 0 9 8 a '],
    ['empty lists', { texts: [], numbers: [] }, '- false -1 0 9 8  '],
    ['a size with a unit', { bytes: '64 MiB' }, '- false -1 0 9 67108864 a '],
    ['a size without a space', { bytes: '4GiB' }, '- false -1 0 9 4294967296 a '],
    ['a size in bytes', { bytes: '7 B' }, '- false -1 0 9 7 a '],
    ['the largest TiB', { bytes: '8388607 TiB' }, '- false -1 0 9 9223370937343148032 a '],
  ])('%s', async (_, settings, expected) => {
    expect(await readBack(settings)).toBe(expected);
  });

  const size = 'must be a number of bytes or a size such as "64 MiB"';
  it.each<[string, Settings, string]>([
    ['a text for a flag', { flag: 'yes' }, 'flag must be true or false, is "yes"'],
    ['a flag for a text', { text: true }, 'text must be a text, is true'],
    ['a text for an integer', { integer: '5' }, 'integer must be an integer, is "5"'],
    ['a list for an integer', { integer: [5n] }, 'integer must be an integer, is a list'],
    ['below the range', { number: 0n }, 'number must be within 1 and 99, is 0'],
    ['above the range', { nice: 20n }, 'nice must be within -20 and 19, is 20'],
    [
      'a number over 32 bits',
      { numbers: [4294967296n] },
      'numbers must be within 0 and 4294967295, is 4294967296',
    ],
    ['a negative number', { numbers: [-1n] }, 'numbers must be within 0 and 4294967295, is -1'],
    ['mixed lists', { texts: ['a', 1n] }, 'texts must be a list of texts, has 1'],
    ['a text for a list', { texts: 'a' }, 'texts must be a list of texts, is "a"'],
    ['a decimal unit', { bytes: '64 MB' }, `bytes ${size}, is "64 MB"`],
    ['a unit alone', { bytes: 'MiB' }, `bytes ${size}, is "MiB"`],
    ['two spaces', { bytes: '1  MiB' }, `bytes ${size}, is "1  MiB"`],
    ['over 63 bits', { bytes: '8388608 TiB' }, `bytes ${size}, is "8388608 TiB"`],
    [
      'digits over 64 bits',
      { bytes: '99999999999999999999 B' },
      `bytes ${size}, is "99999999999999999999 B"`,
    ],
    ['a negative size', { bytes: -1n }, `bytes ${size}, is -1`],
    [
      'a misspelt key',
      { txet: 'a' },
      'txet is no setting of this plugin (settings: text, flag, integer, nice, number, bytes, texts, numbers, needs)',
    ],
    ["the policy's own rule", { text: 'odd' }, 'text must not be odd'],
    ['two at once', { flag: 1n, text: 2n }, 'text must be a text, is 2; flag must be true or false, is 1'],
    [
      'all that is missing',
      { needs: true },
      `t is missing: it must be a text; f is missing: it must be true or false; i is missing: it must be an integer; n is missing: it must be an integer; b is missing: it ${size}; ts is missing: it must be a list of texts; ns is missing: it must be a list of integers`,
    ],
  ])('%s: refused at start', async (_, settings, problem) => {
    await expect(load(wasm, settingsJson(settings))).rejects.toMatchObject({
      reason: 'init',
      message: `test: refuses its settings: ${problem}`,
    });
  });

  it.each([
    '',
    '[]',
    '{',
    '{"a"}',
    '{"text":}',
    '{"text":"a',
    '{"text":"\\x"}',
    '{"text":"\\u00g0"}',
    '{"flag":tru}',
    '{"a":1,}',
    '{"a":1 "b":2}',
    '{} x',
    '{"integer":9223372036854775808}',
    '{"integer":-}',
    '{"texts":["a"',
    '{"texts":["a",]}',
    '{"a":1.5}',
    '{"a":null}',
  ])('broken JSON %j: refused, never a trap', async (json) => {
    await expect(load(wasm, json)).rejects.toMatchObject({
      reason: 'init',
      message: expect.stringContaining('settings are no JSON object: '),
    });
  });

  it('of a policy without init: none is known', async () => {
    const bare = await compileText(`
      import { Operation, Verdict, pass } from '@deputy/sdk-as';
      export function decide(operation: Operation): Verdict { return pass(); }
    `);
    expect((await load(bare)).decide(input()).verdict).toEqual({ tag: 'pass' });
    await expect(load(bare, '{"a":1}')).rejects.toThrow('a is no setting of this plugin (settings: none)');
  });
});
