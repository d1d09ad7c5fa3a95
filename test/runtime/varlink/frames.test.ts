import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameError, FrameReader } from '../../../runtime/varlink/frames.ts';

const MAX = 64;

/** The messages of `stream`, read in pieces that end at `cuts`. */
function read(stream: Uint8Array, cuts: readonly number[]): string[] {
  const reader = new FrameReader(MAX);
  const edges = [0, ...cuts.map((cut) => cut % (stream.length + 1)), stream.length].sort((a, b) => a - b);
  const messages: string[] = [];
  for (const [index, edge] of edges.slice(1).entries()) {
    for (const message of reader.push(stream.subarray(edges[index], edge))) {
      // Its bytes are valid until the next.
      messages.push(Buffer.from(message).toString());
    }
  }
  return messages;
}

describe('messages of a stream', () => {
  it('are the same however the stream was split', () => {
    const message = fc.string({ minLength: 0, maxLength: MAX, unit: fc.constantFrom('a', '"', '{', ' ') });
    fc.assert(
      fc.property(fc.array(message), fc.array(fc.nat()), (messages, cuts) => {
        const stream = Buffer.from(messages.map((text) => `${text}\0`).join(''));
        expect(read(stream, cuts)).toEqual(messages);
      }),
    );
  });

  it.each<[string, number, boolean]>([
    ['of just the limit', MAX, true],
    ['one byte over it', MAX + 1, false],
  ])('%s', (_what, length, fits) => {
    for (const step of [1, 7, length + 1]) {
      const reader = new FrameReader(MAX);
      const stream = Buffer.concat([Buffer.alloc(length, 'x'), Buffer.of(0)]);
      const run = (): number => {
        let count = 0;
        for (let at = 0; at < stream.length; at += step)
          for (const _message of reader.push(stream.subarray(at, at + step))) count++;
        return count;
      };
      if (fits) expect(run()).toBe(1);
      else expect(run).toThrow(FrameError);
    }
  });

  it('an endless message is refused at the limit, not held', () => {
    const reader = new FrameReader(MAX);
    expect(() => [...reader.push(Buffer.alloc(1 << 20, 'x'))]).toThrow(
      'a message has more than the 64 bytes allowed',
    );
  });

  it('knows whether it stands between two messages', () => {
    const reader = new FrameReader(MAX);
    const boundaryAfter = (text: string): boolean => {
      for (const _message of reader.push(Buffer.from(text)));
      return reader.atBoundary;
    };
    const pieces = ['', 'ab', 'c\0', 'd\0e', '\0'];
    expect(pieces.map(boundaryAfter)).toEqual([true, false, true, false, true]);
  });

  // Held in its chunks, each byte would cost about 190: sent singly, 64 KiB would take 12 MB of the daemon's memory.
  it('a message sent byte by byte occupies about its size', () => {
    const reader = new FrameReader(1 << 20);
    const usedBytes = (): number => {
      collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = usedBytes();
    for (let n = 0; n < 100_000; n++) {
      const chunk = Buffer.from(new Uint8Array(new ArrayBuffer(1)).fill(0x78).buffer);
      for (const _message of reader.push(chunk)) throw new Error('no message was sent');
    }
    expect(usedBytes() - before).toBeLessThan(4 << 20);
    expect(reader.atBoundary).toBe(false);
  });
});

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}
