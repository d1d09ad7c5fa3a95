/** As much of JSON (RFC 8259) as settings are made of: texts, 64-bit integers, booleans, and lists of these. */
export enum Kind {
  Text,
  Integer,
  Flag,
  List,
}

export class JsonValue {
  constructor(
    readonly kind: Kind,
    readonly text: string,
    /** 1 for true. */
    readonly integer: i64,
    readonly items: JsonValue[],
  ) {}

  /** For messages. */
  toString(): string {
    if (this.kind == Kind.Text) return `"${this.text}"`;
    if (this.kind == Kind.Integer) return this.integer.toString();
    return this.kind == Kind.Flag ? (this.integer != 0 ? 'true' : 'false') : 'a list';
  }
}

// @ts-ignore: decorator
@inline function code(char: string): i32 {
  return char.charCodeAt(0);
}

/** Reads one text from its start. Once `failure` is set, nothing further is read. */
export class JsonReader {
  failure: string = '';
  private at: i32 = 0;

  constructor(private readonly json: string) {}

  object(keys: string[], values: JsonValue[]): void {
    this.expect('{');
    while (!this.takes('}') && this.goesOn) {
      if (keys.length > 0) this.expect(',');
      keys.push(this.string());
      this.expect(':');
      values.push(this.value());
    }
    this.space();
    if (this.at < this.json.length) this.fail('text after its end');
  }

  private get goesOn(): bool {
    return this.failure.length == 0;
  }

  private value(): JsonValue {
    const char = this.peek();
    if (char == code('"')) return new JsonValue(Kind.Text, this.string(), 0, []);
    if (char == code('[')) return new JsonValue(Kind.List, '', 0, this.list());
    if (char == code('t')) return this.word('true', 1);
    if (char == code('f')) return this.word('false', 0);
    return new JsonValue(Kind.Integer, '', this.integer(), []);
  }

  private list(): JsonValue[] {
    const items: JsonValue[] = [];
    this.expect('[');
    while (!this.takes(']') && this.goesOn) {
      if (items.length > 0) this.expect(',');
      items.push(this.value());
    }
    return items;
  }

  private word(word: string, flag: i64): JsonValue {
    if (this.json.startsWith(word, this.at)) this.at += word.length;
    else this.fail(`no ${word}`);
    return new JsonValue(Kind.Flag, '', flag, []);
  }

  private integer(): i64 {
    const negative = this.takes('-');
    const start = this.at;
    const bound = <u64>i64.MAX_VALUE + u64(negative);
    let amount: u64 = 0;
    for (; this.at < this.json.length; this.at++) {
      const digit = this.json.charCodeAt(this.at) - code('0');
      if (digit < 0 || digit > 9) break;
      if (amount > (bound - digit) / 10) {
        this.fail('an integer of more than 64 bits');
        return 0;
      }
      amount = amount * 10 + digit;
    }
    if (this.at == start) this.fail('neither a text, an integer, a boolean nor a list');
    return negative ? -(<i64>amount) : <i64>amount;
  }

  private string(): string {
    this.expect('"');
    let text = '';
    let start = this.at;
    while (this.goesOn) {
      if (this.at >= this.json.length) {
        this.fail('a text without an end');
        break;
      }
      const char = this.json.charCodeAt(this.at++);
      if (char == code('"')) break;
      if (char != code('\\')) continue;
      text += this.json.substring(start, this.at - 1) + this.escape();
      start = this.at;
    }
    return this.goesOn ? text + this.json.substring(start, this.at - 1) : '';
  }

  private escape(): string {
    const char = this.at < this.json.length ? this.json.charAt(this.at++) : '';
    if (char == '"' || char == '\\' || char == '/') return char;
    if (char == 'n') return '\n';
    if (char == 't') return '\t';
    if (char == 'r') return '\r';
    if (char == 'b') return '\b';
    if (char == 'f') return '\f';
    if (char == 'u' && this.at + 4 <= this.json.length) {
      let unit = 0;
      for (let end = this.at + 4; this.at < end; this.at++) {
        const digit = hexDigit(this.json.charCodeAt(this.at));
        if (digit < 0) {
          this.fail('a broken \\u escape');
          return '';
        }
        unit = unit * 16 + digit;
      }
      return String.fromCharCode(unit);
    }
    this.fail('a broken escape');
    return '';
  }

  private space(): void {
    while (this.at < this.json.length) {
      const char = this.json.charCodeAt(this.at);
      if (char != 32 && char != 9 && char != 10 && char != 13) return;
      this.at++;
    }
  }

  private peek(): i32 {
    this.space();
    return this.at < this.json.length ? this.json.charCodeAt(this.at) : -1;
  }

  private takes(char: string): bool {
    if (this.peek() != code(char)) return false;
    this.at++;
    return true;
  }

  private expect(char: string): void {
    if (!this.takes(char)) this.fail(`no ${char}`);
  }

  private fail(what: string): void {
    if (this.goesOn) this.failure = `${what} at ${this.at}`;
  }
}

function hexDigit(char: i32): i32 {
  if (char >= code('0') && char <= code('9')) return char - code('0');
  const letter = char | 32;
  return letter >= code('a') && letter <= code('f') ? letter - code('a') + 10 : -1;
}
