/** Writes the TypeScript types of a Varlink interface, as client/types.ts has them. */
import { isWide } from '../../client/numbers.ts';
import type { IdlInterface, IdlStruct, IdlType } from '../../runtime/varlink/idl.ts';

export function typescriptOf(idl: IdlInterface): string {
  const docs = commentsOf(idl.text);
  const blocks: string[] = [];
  for (const [name, type] of idl.types) blocks.push(declaration(name, type, docs.get(`type ${name}`)));
  for (const [name, { input, output }] of idl.methods) {
    const doc = docs.get(`method ${name}`);
    const given = without(input, 'version');
    if (given.fields.size > 0) blocks.push(declaration(`${name}Parameters`, given, doc));
    const [only, ...more] = output.fields.values();
    // A reply that wraps one named type is handed on as that type.
    if (only?.kind === 'named' && more.length === 0) continue;
    blocks.push(declaration(`${name}Reply`, output, given.fields.size > 0 ? undefined : doc));
  }
  return `/**
 * The types of ${idl.name}, written from its interface definition: \`UPDATE_GOLDEN=1 npx vitest run test/client\`.
 * Bytes, clock ticks, inodes and fuel are bigint; all other integers are numbers.
 */

${blocks.join('\n\n')}
`;
}

function declaration(name: string, type: IdlType, doc: string | undefined): string {
  const head = doc === undefined ? '' : `/**${doc}*/\n`;
  if (type.kind === 'struct') return `${head}export interface ${name} ${structOf(type, '')}`;
  return `${head}export type ${name} = ${typeOf(type, name, '')};`;
}

function structOf({ fields }: IdlStruct, indent: string): string {
  const lines = [...fields].map(([name, type]) => {
    const optional = type.kind === 'optional';
    const text = typeOf(optional ? type.of : type, name, `${indent}  `);
    return `${indent}  readonly ${name}${optional ? '?' : ''}: ${text}${optional ? ' | undefined' : ''};`;
  });
  return `{\n${lines.join('\n')}\n${indent}}`;
}

function typeOf(type: IdlType, name: string, indent: string): string {
  switch (type.kind) {
    case 'bool':
      return 'boolean';
    case 'int':
      return isWide(name) ? 'bigint' : 'number';
    case 'float':
      return 'number';
    case 'string':
      return 'string';
    case 'object':
      return 'Readonly<Record<string, unknown>>';
    case 'optional':
      return `${typeOf(type.of, name, indent)} | undefined`;
    case 'array':
      return `readonly ${typeOf(type.of, name, indent)}[]`;
    case 'map':
      return `Readonly<Record<string, ${typeOf(type.of, name, indent)}>>`;
    case 'struct':
      return structOf(type, indent);
    case 'enum':
      return type.values.map((value) => `'${value}'`).join(' | ');
    case 'named':
      return type.name;
  }
}

function without(struct: IdlStruct, name: string): IdlStruct {
  return { kind: 'struct', fields: new Map([...struct.fields].filter(([field]) => field !== name)) };
}

/** The comment right above each member, as one line of text, by "type Limit" or "method Ping". */
function commentsOf(text: string): Map<string, string> {
  const comments = new Map<string, string>();
  let lines: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) lines.push(line.slice(1).trim());
    else {
      const member = /^(?:type|method) \w+/.exec(line)?.[0];
      if (member !== undefined && lines.length > 0) comments.set(member, docOf(lines));
      lines = [];
    }
  }
  return comments;
}

function docOf(lines: readonly string[]): string {
  return lines.length === 1 ? ` ${lines[0]} ` : `\n${lines.map((line) => ` * ${line}\n`).join('')} `;
}
