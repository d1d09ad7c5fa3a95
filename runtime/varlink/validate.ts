import type { IdlInterface, IdlStruct, IdlType } from './idl.ts';
import type { Json } from './json.ts';

/** A parameter that the interface does not allow. `path` is its name, with indexes and members: "target.pid". */
export class ParameterError extends Error {
  override readonly name = 'ParameterError';
  readonly path: string;

  constructor(path: string, message: string) {
    super(`${path || 'parameters'}: ${message}`);
    this.path = path;
  }
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/**
 * Checks a value against a type and returns it with absent and null members left out, in objects without a prototype.
 * Unknown members are refused: a misspelled option must not be ignored by a daemon that grants privileges.
 */
export function validate(idl: IdlInterface, type: IdlType, value: Json, path: string): unknown {
  switch (type.kind) {
    case 'bool':
      return typeof value === 'boolean' ? value : wrong(path, 'true or false', value);
    case 'int':
      if (typeof value !== 'bigint') return wrong(path, 'an integer', value);
      if (value < INT64_MIN || value > INT64_MAX)
        return wrong(path, `an integer from ${INT64_MIN} to ${INT64_MAX}`, value);
      return value;
    case 'float':
      return typeof value === 'bigint' || typeof value === 'number'
        ? Number(value)
        : wrong(path, 'a number', value);
    case 'string':
      if (typeof value !== 'string') return wrong(path, 'a text', value);
      // A lone surrogate has no UTF-8: it would reach the plugin as another text than the one in the audit.
      return value.isWellFormed() ? value : wrong(path, 'well-formed Unicode', '…');
    case 'object':
      return isObject(value) ? value : wrong(path, 'an object', value);
    case 'optional':
      return value === null ? undefined : validate(idl, type.of, value, path);
    case 'array':
      if (!Array.isArray(value)) return wrong(path, 'an array', value);
      return value.map((element, index) => validate(idl, type.of, element, `${path}[${index}]`));
    case 'map': {
      if (!isObject(value)) return wrong(path, 'an object', value);
      const map: Record<string, unknown> = Object.create(null);
      for (const [key, member] of Object.entries(value))
        map[key] = validate(idl, type.of, member, `${path}.${key}`);
      return map;
    }
    case 'enum':
      return typeof value === 'string' && type.values.includes(value)
        ? value
        : wrong(path, `one of ${type.values.join(', ')}`, value);
    case 'struct':
      return validateStruct(idl, type, value, path);
    case 'named': {
      const named = idl.types.get(type.name);
      if (named === undefined) throw new TypeError(`the interface ${idl.name} has no type ${type.name}`);
      return validate(idl, named, value, path);
    }
  }
}

export function validateStruct(
  idl: IdlInterface,
  type: IdlStruct,
  value: Json,
  path: string,
): Record<string, unknown> {
  if (!isObject(value)) return wrong(path, 'an object', value);
  const member = (name: string) => (path === '' ? name : `${path}.${name}`);
  for (const name of Object.keys(value)) {
    if (!type.fields.has(name)) {
      throw new ParameterError(
        member(name),
        `unknown; known are ${[...type.fields.keys()].join(', ') || 'none'}`,
      );
    }
  }
  const struct: Record<string, unknown> = Object.create(null);
  for (const [name, of] of type.fields) {
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given === undefined) {
      if (of.kind !== 'optional') throw new ParameterError(member(name), 'is missing');
      continue;
    }
    const checked = validate(idl, of, given, member(name));
    if (checked !== undefined) struct[name] = checked;
  }
  return struct;
}

function isObject(value: Json): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(path: string, allowed: string, value: Json): never {
  const text =
    typeof value === 'bigint' || typeof value === 'number'
      ? `${value}`
      : (JSON.stringify(value, bigintSafe) ?? '');
  throw new ParameterError(path, `${text.length > 64 ? `${text.slice(0, 64)}…` : text} is not ${allowed}`);
}

function bigintSafe(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}
