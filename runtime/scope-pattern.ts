/**
 * Patterns of cgroup paths with named captures, such as
 * `/kubepods.slice/kubepods-{qos}.slice/kubepods-*-pod{pod:id}.slice/crio-{container:hex}.scope`.
 *
 * A pattern matches whole paths, segment by segment:
 * - `{name}` captures one or more characters within its segment; `{name:class}` only those of a class (CLASSES),
 * - `*` stands for any characters within a segment, none included,
 * - `**`, once and as a whole segment, stands for any number of segments, none included,
 * - everything else stands for itself.
 *
 * Whoever may make cgroups chooses what is matched here, so there is never more than one way to match: a wildcard
 * that is not the last of its segment ends where the character after it first occurs, and with one `**` the number of
 * segments it takes is known. Matching looks at each character once or twice.
 */

/** What `{name:class}` admits. */
export const CLASSES = {
  /** A uid, a machine's number. */
  number: /^[0-9]+$/,
  /** The id of a container. */
  hex: /^[0-9a-f]+$/,
  /** The UID of a pod, with "-" or, below systemd's slices, "_"; static pods have a hash. */
  id: /^[0-9a-f_-]+$/,
} as const;

type Token =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'capture'; readonly name: string; readonly admits: RegExp | undefined }
  | { readonly kind: 'any' };

type Segment = readonly Token[];

export interface ScopePattern {
  readonly text: string;
  readonly captures: readonly string[];
  /** What every path that it matches begins with: cheap to compare. */
  readonly prefix: string;
  /** Segments of the shortest path it matches; of every one unless it is deep. */
  readonly minSegments: number;
  /** Whether it has a `**`. */
  readonly isDeep: boolean;
  /** The captures by name, or undefined where the path does not match. */
  match(path: string): ReadonlyMap<string, string> | undefined;
}

/** `column` counts characters from 1. */
export class ScopePatternError extends Error {
  override readonly name = 'ScopePatternError';
  readonly column: number;

  constructor(message: string, column: number) {
    super(`${message} (column ${column})`);
    this.column = column;
  }
}

/** Throws ScopePatternError. */
export function parseScopePattern(text: string): ScopePattern {
  if (!text.startsWith('/')) throw new ScopePatternError('a pattern begins with "/"', 1);
  if (text === '/') throw new ScopePatternError('the root cgroup is never a scope', 1);
  const captures: string[] = [];
  const head: Segment[] = [];
  let tail: Segment[] | undefined;
  let column = 2;
  for (const part of text.slice(1).split('/')) {
    if (part === '**') {
      if (tail !== undefined) {
        throw new ScopePatternError('a second "**": nothing says which segments each of them takes', column);
      }
      tail = [];
    } else {
      (tail ?? head).push(parseSegment(part, column, captures));
    }
    column += part.length + 1;
  }
  if (tail?.length === 0) {
    throw new ScopePatternError(
      '"**" can\'t be last: every cgroup below would be a scope of its own',
      text.length - 1,
    );
  }
  return {
    text,
    captures,
    prefix: /^[^{*]*/.exec(text)?.[0] ?? '',
    minSegments: head.length + (tail?.length ?? 0),
    isDeep: tail !== undefined,
    match: (path) => matchPath(head, tail, path),
  };
}

function parseSegment(part: string, column: number, captures: string[]): Segment {
  if (part === '' || part === '.' || part === '..') {
    throw new ScopePatternError(`${JSON.stringify(part)} is no name of a cgroup`, column);
  }
  const tokens: Token[] = [];
  for (const { index, 0: word } of part.matchAll(/\{[^{}]*\}|\*|[^{}*]+|./gu)) {
    const at = column + index;
    const token = parseToken(word, at);
    if (token.kind === 'capture') {
      if (captures.includes(token.name)) {
        throw new ScopePatternError(`the label ${token.name} is there twice`, at);
      }
      captures.push(token.name);
    }
    const before = tokens.at(-1);
    if (token.kind !== 'text' && before !== undefined && before.kind !== 'text') {
      throw new ScopePatternError(
        word === '*' && before.kind === 'any'
          ? '"**" must be a whole segment'
          : 'two wildcards side by side: nothing says where one ends',
        at,
      );
    }
    tokens.push(token);
  }
  return tokens;
}

function parseToken(word: string, column: number): Token {
  if (word === '*') return { kind: 'any' };
  if (word === '{' || word === '}')
    throw new ScopePatternError(`${JSON.stringify(word)} without its counterpart`, column);
  if (!word.startsWith('{')) return { kind: 'text', text: word };
  const [name = '', className, ...rest] = word.slice(1, -1).split(':');
  if (!/^[a-z][a-z0-9_]{0,31}$/.test(name)) {
    throw new ScopePatternError(
      `${JSON.stringify(name)} is no name of a label: a letter a-z, then a-z, 0-9 and "_"`,
      column,
    );
  }
  if (className === undefined) return { kind: 'capture', name, admits: undefined };
  const admits = Object.entries(CLASSES).find(([known]) => known === className)?.[1];
  if (admits === undefined || rest.length > 0) {
    throw new ScopePatternError(
      `${JSON.stringify([className, ...rest].join(':'))} is no class of characters; there are ${Object.keys(CLASSES).join(', ')}`,
      column,
    );
  }
  return { kind: 'capture', name, admits };
}

function matchPath(
  head: readonly Segment[],
  tail: readonly Segment[] | undefined,
  path: string,
): ReadonlyMap<string, string> | undefined {
  const parts = path.slice(1).split('/');
  const least = head.length + (tail?.length ?? 0);
  if (!path.startsWith('/') || (tail === undefined ? parts.length !== least : parts.length < least))
    return undefined;
  const captures = new Map<string, string>();
  const matches = (segments: readonly Segment[], from: number): boolean =>
    segments.every((segment, index) => matchSegment(segment, parts[from + index] ?? '', captures));
  return matches(head, 0) && matches(tail ?? [], parts.length - (tail?.length ?? 0)) ? captures : undefined;
}

function matchSegment(tokens: Segment, part: string, captures: Map<string, string>): boolean {
  const last = tokens.findLastIndex(({ kind }) => kind !== 'text');
  let position = 0;
  for (const [index, token] of tokens.entries()) {
    if (token.kind === 'text') {
      if (!part.startsWith(token.text, position)) return false;
      position += token.text.length;
      continue;
    }
    const next = tokens[index + 1];
    const text = next?.kind === 'text' ? next.text : '';
    const end = index === last ? part.length - text.length : part.indexOf(text.charAt(0), position);
    if (end < position) return false;
    if (token.kind === 'capture') {
      const value = part.slice(position, end);
      if (value === '' || token.admits?.test(value) === false) return false;
      captures.set(token.name, value);
    }
    position = end;
  }
  return position === part.length;
}
