import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';
import type { Problem } from './problem.ts';

/** A TOML value with integers exact: every integer is a bigint, so that no limit above 2^53 is rounded. */
export type TomlValue = string | bigint | number | boolean | Date | TomlValue[] | TomlTable;
export interface TomlTable {
  [key: string]: TomlValue;
}

export interface Position {
  readonly line: number;
  readonly column: number;
}

export type TomlPath = readonly (string | number)[];

/** A parsed file that remembers where each key stands, since a problem without a line is half a problem. */
export class TomlDocument {
  readonly file: string;
  readonly value: TomlTable;
  readonly #positions: ReadonlyMap<string, Position>;

  constructor(file: string, value: TomlTable, positions: ReadonlyMap<string, Position>) {
    this.file = file;
    this.value = value;
    this.#positions = positions;
  }

  /** Where the key stands; for an absent one, where the nearest table that holds it begins. */
  positionOf(path: TomlPath): Position {
    for (let length = path.length; length > 0; length--) {
      const position = this.#positions.get(JSON.stringify(path.slice(0, length)));
      if (position !== undefined) return position;
    }
    return { line: 1, column: 1 };
  }

  /** "libvirt.toml:12", for messages that quote a ceiling. */
  placeOf(path: TomlPath): string {
    return `${this.file.slice(this.file.lastIndexOf('/') + 1)}:${this.positionOf(path).line}`;
  }

  problem(path: TomlPath, message: string, remedy: string): Problem {
    return { file: this.file, ...this.positionOf(path), message, remedy };
  }
}

/** TOML 1.0. Returns the first syntax error as a problem: after one, the rest of the file can't be trusted. */
export function parseToml(file: string, text: string): TomlDocument | Problem {
  let ast: AST.TOMLProgram;
  try {
    ast = parseTOML(text, { tomlVersion: '1.0.0' });
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return {
      file,
      line: error.lineNumber,
      column: error.column + 1,
      message: `not valid TOML: ${error.message}`,
      remedy: 'correct the syntax (https://toml.io/en/v1.0.0)',
    };
  }
  const positions = new Map<string, Position>();
  const root = table();
  for (const node of ast.body[0].body) place(root, positions, [], node);
  return new TomlDocument(file, root, positions);
}

/** Without a prototype: a key named `__proto__` or `constructor` is a key like any other. */
function table(): TomlTable {
  return Object.create(null) as TomlTable;
}

function place(
  into: TomlTable,
  positions: Map<string, Position>,
  path: TomlPath,
  node: AST.TOMLKeyValue | AST.TOMLTable,
): void {
  if (node.type === 'TOMLTable') {
    const inner = descend(into, positions, [], node.resolvedKey, at(node.key));
    for (const child of node.body) place(inner, positions, node.resolvedKey, child);
    return;
  }
  const keys = node.key.keys.map((key) => (key.type === 'TOMLBare' ? key.name : key.value));
  const parent = descend(into, positions, path, keys.slice(0, -1), at(node.key));
  const full = [...path, ...keys];
  positions.set(JSON.stringify(full), at(node.key));
  parent[keys.at(-1) as string] = readValue(node.value, positions, full);
}

function descend(
  from: TomlTable,
  positions: Map<string, Position>,
  base: TomlPath,
  keys: TomlPath,
  position: Position,
): TomlTable {
  let current: TomlTable | TomlValue[] = from;
  keys.forEach((key, index) => {
    const id = JSON.stringify([...base, ...keys.slice(0, index + 1)]);
    if (!positions.has(id)) positions.set(id, position);
    const holder = current as TomlTable;
    // The parser has already refused every clash of tables, arrays and values.
    holder[key] ??= typeof keys[index + 1] === 'number' ? [] : table();
    current = holder[key] as TomlTable;
  });
  return current;
}

function readValue(node: AST.TOMLContentNode, positions: Map<string, Position>, path: TomlPath): TomlValue {
  switch (node.type) {
    case 'TOMLValue':
      return node.kind === 'integer' ? node.bigint : node.value;
    case 'TOMLArray':
      return node.elements.map((element, index) => {
        const inner = [...path, index];
        positions.set(JSON.stringify(inner), at(element));
        return readValue(element, positions, inner);
      });
    case 'TOMLInlineTable': {
      const value = table();
      for (const child of node.body) place(value, positions, path, child);
      return value;
    }
  }
}

function at(node: AST.TOMLNode): Position {
  return { line: node.loc.start.line, column: node.loc.start.column + 1 };
}
