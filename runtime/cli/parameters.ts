/**
 * Parameters as operators write them: a JSON object, or KEY=VALUE pairs that the interface definition gives their
 * types. `hardBytes=1GiB target.pid=412 cpus=0-3,8` needs no quoting in a shell.
 */
import { parseCpuList } from '../../host-api/cpu-list.ts';
import { parseSize } from '../config/values.ts';
import type { IdlInterface, IdlStruct, IdlType } from '../varlink/idl.ts';
import { decodeJson, type Json } from '../varlink/json.ts';
import { EXIT, Failure } from './exit-code.ts';

type JsonObject = { [key: string]: Json };

/** `words` is one JSON object, or pairs, or nothing. Throws a Failure that names the word and what is allowed. */
export function readParameters(
  words: readonly string[],
  idl: IdlInterface,
  input: IdlStruct,
  version: number,
): JsonObject {
  const [first] = words;
  const given =
    words.length === 1 && first?.trimStart().startsWith('{') ? readJson(first) : readPairs(words, idl, input);
  return input.fields.has('version') && !Object.hasOwn(given, 'version')
    ? { version: BigInt(version), ...given }
    : given;
}

export const PARAMETERS_HELP = `PARAMS is one JSON object, or KEY=VALUE pairs:
  hardBytes=1GiB          sizes with B, KiB, MiB, GiB or TiB where the name ends in "Bytes"
  target.pid=412          members with a dot; short: pid=412
  cpus=0-3,8              lists of numbers with commas and ranges
  lease=true`;

function readJson(text: string): JsonObject {
  let value: Json;
  try {
    value = decodeJson(Buffer.from(text));
  } catch (error) {
    throw new Failure(EXIT.usage, `PARAMS is no JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) throw new Failure(EXIT.usage, 'PARAMS is no JSON object');
  return value;
}

function readPairs(words: readonly string[], idl: IdlInterface, input: IdlStruct): JsonObject {
  const object: JsonObject = {};
  for (const word of words) {
    const equals = word.indexOf('=');
    if (equals <= 0)
      throw new Failure(EXIT.usage, `${JSON.stringify(word)} is neither KEY=VALUE nor a JSON object`);
    const path = fullPath(word.slice(0, equals), idl, input);
    place(object, path.names, readValue(word.slice(equals + 1), path.type, path.names.join('.')));
  }
  return object;
}

interface MemberPath {
  readonly names: readonly string[];
  readonly type: IdlType;
}

/** "target.pid", or "pid" where exactly one structure has such a member and the method itself has none. */
function fullPath(key: string, idl: IdlInterface, input: IdlStruct): MemberPath {
  const members = memberPaths(idl, input);
  const exact = members.find(({ names }) => names.join('.') === key);
  const short = members.filter(({ names }) => names.length > 1 && names.at(-1) === key);
  const found = exact ?? (short.length === 1 ? short[0] : undefined);
  if (found !== undefined) return found;
  const known = members.map(({ names }) => names.join('.')).filter((name) => name !== 'version');
  throw new Failure(
    EXIT.usage,
    `there is no parameter ${JSON.stringify(key)}; there are ${known.join(', ') || 'none'}`,
  );
}

/** Every member that a pair can name, structures unfolded. */
export function memberPaths(idl: IdlInterface, input: IdlStruct): MemberPath[] {
  return [...input.fields].flatMap(([name, declared]) => {
    const type = resolve(idl, declared);
    if (type.kind !== 'struct') return [{ names: [name], type }];
    return memberPaths(idl, type).map((inner) => ({ names: [name, ...inner.names], type: inner.type }));
  });
}

function resolve(idl: IdlInterface, type: IdlType): IdlType {
  if (type.kind === 'optional') return resolve(idl, type.of);
  if (type.kind !== 'named') return type;
  const named = idl.types.get(type.name);
  return named === undefined ? type : resolve(idl, named);
}

function readValue(text: string, type: IdlType, name: string): Json {
  switch (type.kind) {
    case 'bool':
      if (text === 'true' || text === 'false') return text === 'true';
      throw wrong(name, text, 'true or false');
    case 'int':
      return readInteger(text, name);
    case 'array':
      return type.of.kind === 'int' ? readNumbers(text, name) : text.split(',').filter((part) => part !== '');
    case 'enum':
      if (type.values.includes(text)) return text;
      throw wrong(name, text, `one of ${type.values.join(', ')}`);
    case 'string':
      return text;
    default:
      return readJson(text);
  }
}

function readInteger(text: string, name: string): bigint {
  if (/^-?\d{1,19}$/.test(text)) return BigInt(text);
  const size = /Bytes$/.test(name) ? parseSize(text) : undefined;
  if (size !== undefined) return size;
  throw wrong(name, text, /Bytes$/.test(name) ? 'a number of bytes or a size such as 1GiB' : 'an integer');
}

/** Thread ids lie beyond what a CPU list may hold, so ranges are for short numbers only. */
function readNumbers(text: string, name: string): bigint[] {
  if (/^\d{1,19}(,\d{1,19})*$/.test(text)) return text.split(',').map(BigInt);
  try {
    return parseCpuList(text).map(BigInt);
  } catch (error) {
    throw new Failure(EXIT.usage, `${name}: ${(error as RangeError).message}`);
  }
}

function place(object: JsonObject, [name = '', ...rest]: readonly string[], value: Json): void {
  if (rest.length === 0) {
    if (Object.hasOwn(object, name)) throw new Failure(EXIT.usage, `${name} is given twice`);
    object[name] = value;
    return;
  }
  object[name] ??= {};
  const inner = object[name];
  if (isObject(inner)) place(inner, rest, value);
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(name: string, text: string, allowed: string): Failure {
  return new Failure(EXIT.usage, `${name}: ${JSON.stringify(text)} is not ${allowed}`);
}
