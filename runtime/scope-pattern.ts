// Patterns of cgroup paths with named captures, such as
// `/kubepods.slice/**/kubepods-{qos}-pod{pod}.slice/cri-containerd-{container}.scope`.
//
// A pattern matches whole paths, segment by segment:
// - `{name}` captures one or more characters within its segment,
// - `*` stands for any characters within a segment, none included,
// - `**` as a whole segment stands for any number of segments, none included,
// - everything else stands for itself.
//
// Matching is our own, by dynamic programming over characters and segments, and linear in their product: paths are
// named by whoever may make cgroups, and a regular expression with so many wildcards could be made to backtrack.

type Token =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'capture'; readonly name: string }
  | { readonly kind: 'any' };

type Segment = { readonly kind: 'deep' } | { readonly kind: 'tokens'; readonly tokens: readonly Token[] };

export interface ScopePattern {
  readonly text: string;
  readonly captures: readonly string[];
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

export function parseScopePattern(text: string): ScopePattern {
  if (!text.startsWith('/')) throw new ScopePatternError('a pattern begins with "/"', 1);
  if (text === '/') throw new ScopePatternError('the root cgroup is never a scope', 1);
  const captures: string[] = [];
  let column = 2;
  const segments = text
    .slice(1)
    .split('/')
    .map((part): Segment => {
      const segment = parseSegment(part, column, captures);
      column += part.length + 1;
      return segment;
    });
  if (segments.every(({ kind }) => kind === 'deep')) {
    throw new ScopePatternError('a pattern of "**" alone would make every cgroup a scope', 1);
  }
  if (segments.at(-1)?.kind === 'deep') {
    throw new ScopePatternError(
      '"**" can\'t be last: the scope would be whichever cgroup is deepest',
      text.length - 1,
    );
  }
  return { text, captures, match: (path) => matchPath(segments, path) };
}

function parseSegment(part: string, column: number, captures: string[]): Segment {
  if (part === '**') return { kind: 'deep' };
  if (part === '' || part === '.' || part === '..') {
    throw new ScopePatternError(`${JSON.stringify(part)} is no name of a cgroup`, column);
  }
  const tokens: Token[] = [];
  for (let index = 0; index < part.length; ) {
    const at = column + index;
    const rest = part.slice(index);
    const capture = /^\{([^}]*)\}/.exec(rest);
    const token: Token =
      capture !== null
        ? { kind: 'capture', name: capture[1] ?? '' }
        : rest.startsWith('*')
          ? { kind: 'any' }
          : { kind: 'text', text: /^[^{}*]+/.exec(rest)?.[0] ?? '' };
    if (token.kind === 'text' && token.text === '') {
      throw new ScopePatternError(`"${rest[0]}" without its counterpart`, at);
    }
    if (token.kind === 'capture') {
      if (!/^[a-z][a-z0-9_]{0,31}$/.test(token.name)) {
        throw new ScopePatternError(
          `${JSON.stringify(token.name)} is no name of a label: a-z, 0-9 and "_"`,
          at,
        );
      }
      if (captures.includes(token.name))
        throw new ScopePatternError(`the label ${token.name} is there twice`, at);
      captures.push(token.name);
    }
    if (token.kind !== 'text' && tokens.at(-1) !== undefined && tokens.at(-1)?.kind !== 'text') {
      throw new ScopePatternError('two wildcards side by side: nothing says where one ends', at);
    }
    tokens.push(token);
    index += token.kind === 'text' ? token.text.length : token.kind === 'any' ? 1 : token.name.length + 2;
  }
  return { kind: 'tokens', tokens };
}

type Captures = ReadonlyMap<string, string>;

/** Bounds the work on a path that somebody made long; the kernel's own limit for a path is 4096. */
const MAX_PATH = 4096;

function matchPath(segments: readonly Segment[], path: string): Captures | undefined {
  if (!path.startsWith('/') || path === '/' || path.length > MAX_PATH) return undefined;
  const parts = path.slice(1).split('/');
  // failed[s * (parts + 1) + p]: no match of the segments from s on with the parts from p on.
  const width = parts.length + 1;
  const failed = new Set<number>();
  const from = (s: number, p: number): Captures | undefined => {
    if (failed.has(s * width + p)) return undefined;
    const result = attempt(s, p);
    if (result === undefined) failed.add(s * width + p);
    return result;
  };
  const attempt = (s: number, p: number): Captures | undefined => {
    const segment = segments[s];
    if (segment === undefined) return p === parts.length ? new Map() : undefined;
    if (segment.kind === 'deep') return from(s + 1, p) ?? (p < parts.length ? from(s, p + 1) : undefined);
    const part = parts[p];
    const own = part === undefined ? undefined : matchSegment(segment.tokens, part);
    const rest = own === undefined ? undefined : from(s + 1, p + 1);
    return own === undefined || rest === undefined ? undefined : new Map([...own, ...rest]);
  };
  return from(0, 0);
}

/**
 * Wildcards take as little as they can, from left to right; the last text is anchored at the end. Linear: between two
 * wildcards there is text, and the first place where it stands is as good as any later one.
 */
function matchSegment(tokens: readonly Token[], part: string): Captures | undefined {
  const captures = new Map<string, string>();
  let position = 0;
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index];
    if (token === undefined) break;
    if (token.kind === 'text') {
      if (!part.startsWith(token.text, position)) return undefined;
      position += token.text.length;
      continue;
    }
    const least = token.kind === 'capture' ? 1 : 0;
    const next = tokens[index + 1];
    const nextIsLast = index + 2 === tokens.length;
    let end = part.length;
    if (next?.kind === 'text') {
      end = nextIsLast ? part.length - next.text.length : part.indexOf(next.text, position + least);
      if (end < position + least || !part.startsWith(next.text, end)) return undefined;
    }
    if (end - position < least) return undefined;
    if (token.kind === 'capture') captures.set(token.name, part.slice(position, end));
    position = end;
  }
  return position === part.length ? captures : undefined;
}
