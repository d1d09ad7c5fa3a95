/**
 * Varlink interface definitions (varlink.org, "Interface Definition"). The text that clients get by
 * GetInterfaceDescription is the one that parameters are checked against: they can't disagree.
 */

export type IdlType =
  | { readonly kind: 'bool' | 'int' | 'float' | 'string' | 'object' }
  | { readonly kind: 'optional' | 'array' | 'map'; readonly of: IdlType }
  | { readonly kind: 'struct'; readonly fields: ReadonlyMap<string, IdlType> }
  | { readonly kind: 'enum'; readonly values: readonly string[] }
  | { readonly kind: 'named'; readonly name: string };

export type IdlStruct = Extract<IdlType, { kind: 'struct' }>;

export interface IdlInterface {
  readonly name: string;
  readonly text: string;
  readonly types: ReadonlyMap<string, IdlType>;
  readonly methods: ReadonlyMap<string, { readonly input: IdlStruct; readonly output: IdlStruct }>;
  readonly errors: ReadonlyMap<string, IdlStruct>;
}

const TOKEN = /\s+|#[^\n]*|->|[A-Za-z][A-Za-z0-9_.-]*|[()[\]:,?]/y;

export function parseIdl(text: string): IdlInterface {
  const tokens = tokenize(text);
  let index = 0;
  const next = (): string => tokens[index++] ?? '';
  const peek = (): string => tokens[index] ?? '';
  const expect = (token: string): void => {
    const found = next();
    if (found !== token)
      throw new SyntaxError(
        `interface definition: ${JSON.stringify(token)} expected, found ${JSON.stringify(found)}`,
      );
  };

  const parseType = (): IdlType => {
    const token = next();
    switch (token) {
      case '?':
        return { kind: 'optional', of: parseType() };
      case '[':
        if (peek() === 'string') {
          next();
          expect(']');
          return { kind: 'map', of: parseType() };
        }
        expect(']');
        return { kind: 'array', of: parseType() };
      case 'bool':
      case 'int':
      case 'float':
      case 'string':
      case 'object':
        return { kind: token };
      case '(':
        index--;
        return parseBody();
      default:
        if (!/^[A-Z]/.test(token))
          throw new SyntaxError(`interface definition: ${JSON.stringify(token)} is no type`);
        return { kind: 'named', name: token };
    }
  };

  /** A struct, or an enum where the names have no types. */
  const parseBody = (): IdlType => {
    expect('(');
    const fields = new Map<string, IdlType>();
    const values: string[] = [];
    while (peek() !== ')') {
      const name = next();
      if (peek() === ':') {
        next();
        fields.set(name, parseType());
      } else values.push(name);
      if (peek() === ',') next();
    }
    expect(')');
    return values.length > 0 ? { kind: 'enum', values } : { kind: 'struct', fields };
  };
  const parseStruct = (): IdlStruct => {
    const body = parseBody();
    if (body.kind !== 'struct') throw new SyntaxError('interface definition: fields expected');
    return body;
  };

  expect('interface');
  const name = next();
  const types = new Map<string, IdlType>();
  const methods = new Map<string, { input: IdlStruct; output: IdlStruct }>();
  const errors = new Map<string, IdlStruct>();
  while (index < tokens.length) {
    const keyword = next();
    const member = next();
    if (keyword === 'type') types.set(member, parseBody());
    else if (keyword === 'error') errors.set(member, parseStruct());
    else if (keyword === 'method') {
      const input = parseStruct();
      expect('->');
      methods.set(member, { input, output: parseStruct() });
    } else throw new SyntaxError(`interface definition: ${JSON.stringify(keyword)} is no member`);
  }
  return { name, text, types, methods, errors };
}

function tokenize(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const token = TOKEN.exec(text)?.[0];
    if (token === undefined)
      throw new SyntaxError(`interface definition: unexpected ${JSON.stringify(text[at])} at ${at}`);
    if (!/^[\s#]/.test(token)) tokens.push(token);
  }
  return tokens;
}
