/**
 * JSON as it stands on the wire. Integers are exact over the whole range of 64 bits and arrive as bigint, whatever
 * their size: JSON.parse would round 2^53 + 1 silently.
 */
import { parse, stringify } from 'lossless-json';

/** Deeper than any message of these interfaces; the parser recurses. */
const MAX_DEPTH = 32;

export type Json = null | boolean | string | bigint | number | Json[] | { [key: string]: Json };

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Throws a SyntaxError that says what is wrong: not UTF-8, not JSON, too deep, a key twice. */
export function decodeJson(bytes: Uint8Array): Json {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new SyntaxError('the message is not valid UTF-8');
  }
  checkDepth(text);
  return parse(text, undefined, parseNumber) as Json;
}

/** Bigints become JSON integers; undefined members are left out. */
export function encodeJson(value: unknown): string {
  const text = stringify(value);
  if (text === undefined) throw new TypeError('no JSON value');
  return text;
}

/** "1.0" and "1e3" stay numbers, and are no integers to Varlink. */
function parseNumber(text: string): bigint | number {
  return /^-?\d+$/.test(text) ? BigInt(text) : Number(text);
}

function checkDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (inString) {
      if (code === BACKSLASH) index++;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (code === BRACE || code === BRACKET) {
      if (++depth > MAX_DEPTH) throw new SyntaxError(`the message is nested deeper than ${MAX_DEPTH} levels`);
    } else if (code === BRACE + 2 || code === BRACKET + 2) depth--;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BRACKET = 0x5b;
const BRACE = 0x7b;
