import { JsonReader, JsonValue, Kind } from './json';
import { SIZE_FORM, parseSize } from './size';

/**
 * The manifest's [settings]. Each reader names the key, and what a wrong value should have been; it notes the problem
 * and goes on, so that the operator sees all of them at once. A setting that `init` never asks for is a problem too:
 * it is most likely misspelt.
 */
export class Settings {
  private readonly found: string[] = [];
  private readonly asked: string[] = [];

  private constructor(
    private readonly keys: string[],
    private readonly values: JsonValue[],
  ) {}

  static parse(json: string): Settings {
    const reader = new JsonReader(json);
    const settings = new Settings([], []);
    reader.object(settings.keys, settings.values);
    if (reader.failure.length > 0) settings.found.push(`settings are no JSON object: ${reader.failure}`);
    return settings;
  }

  has(key: string): bool {
    this.ask(key);
    return this.keys.includes(key);
  }

  text(key: string): string {
    const value = this.need(key, Kind.Text, 'a text');
    return value === null ? '' : value.text;
  }

  textOr(key: string, fallback: string): string {
    return this.has(key) ? this.text(key) : fallback;
  }

  flag(key: string): bool {
    const value = this.need(key, Kind.Flag, 'true or false');
    return value !== null && value.integer != 0;
  }

  flagOr(key: string, fallback: bool): bool {
    return this.has(key) ? this.flag(key) : fallback;
  }

  /** A signed number, such as a nice value. */
  integer(key: string, least: i64 = i64.MIN_VALUE, most: i64 = i64.MAX_VALUE): i64 {
    const value = this.need(key, Kind.Integer, 'an integer');
    return value === null ? least : this.within(key, value.integer, least, most);
  }

  integerOr(key: string, fallback: i64, least: i64 = i64.MIN_VALUE, most: i64 = i64.MAX_VALUE): i64 {
    return this.has(key) ? this.integer(key, least, most) : fallback;
  }

  /** A count, a uid, a priority, a CPU. */
  number(key: string, least: u32 = 0, most: u32 = u32.MAX_VALUE): u32 {
    return <u32>this.integer(key, least, most);
  }

  numberOr(key: string, fallback: u32, least: u32 = 0, most: u32 = u32.MAX_VALUE): u32 {
    return this.has(key) ? this.number(key, least, most) : fallback;
  }

  /** Bytes: an integer, or a text with a binary unit, "64 MiB". */
  bytes(key: string): u64 {
    const value = this.find(key);
    if (value === null) return this.missing(key, SIZE_FORM);
    if (value.kind == Kind.Integer && value.integer >= 0) return value.integer;
    if (value.kind == Kind.Text) {
      const bytes = parseSize(value.text);
      if (bytes >= 0) return bytes;
    }
    this.refuse(key, `must be ${SIZE_FORM}, is ${value}`);
    return 0;
  }

  bytesOr(key: string, fallback: u64): u64 {
    return this.has(key) ? this.bytes(key) : fallback;
  }

  texts(key: string): string[] {
    const texts: string[] = [];
    const items = this.list(key, Kind.Text, 'a list of texts');
    for (let index = 0; index < items.length; index++) texts.push(items[index].text);
    return texts;
  }

  textsOr(key: string, fallback: string[]): string[] {
    return this.has(key) ? this.texts(key) : fallback;
  }

  /** Counts, uids, CPUs. */
  numbers(key: string, least: u32 = 0, most: u32 = u32.MAX_VALUE): u32[] {
    const numbers: u32[] = [];
    const items = this.list(key, Kind.Integer, 'a list of integers');
    for (let index = 0; index < items.length; index++) {
      numbers.push(<u32>this.within(key, items[index].integer, least, most));
    }
    return numbers;
  }

  numbersOr(key: string, fallback: u32[], least: u32 = 0, most: u32 = u32.MAX_VALUE): u32[] {
    return this.has(key) ? this.numbers(key, least, most) : fallback;
  }

  /** Notes a problem of the policy's own: `settings.refuse('max_uid', 'is below min_uid')`. */
  refuse(key: string, problem: string): void {
    this.found.push(`${key} ${problem}`);
  }

  /** All that was found wrong. Called after `init`; what it did not ask for is unknown. */
  problems(): string[] {
    const problems = this.found.slice(0);
    for (let index = 0; index < this.keys.length; index++) {
      const key = this.keys[index];
      if (this.asked.includes(key)) continue;
      const known = this.asked.length == 0 ? 'none' : this.asked.join(', ');
      problems.push(`${key} is no setting of this plugin (settings: ${known})`);
    }
    return problems;
  }

  private ask(key: string): void {
    if (!this.asked.includes(key)) this.asked.push(key);
  }

  private find(key: string): JsonValue | null {
    this.ask(key);
    const index = this.keys.indexOf(key);
    return index < 0 ? null : this.values[index];
  }

  private need(key: string, kind: Kind, form: string): JsonValue | null {
    const value = this.find(key);
    if (value === null) {
      this.missing(key, form);
      return null;
    }
    if (value.kind == kind) return value;
    this.refuse(key, `must be ${form}, is ${value}`);
    return null;
  }

  private list(key: string, kind: Kind, form: string): JsonValue[] {
    const value = this.need(key, Kind.List, form);
    if (value === null) return [];
    const items = value.items;
    for (let index = 0; index < items.length; index++) {
      if (items[index].kind == kind) continue;
      this.refuse(key, `must be ${form}, has ${items[index]}`);
      return [];
    }
    return items;
  }

  private missing(key: string, form: string): u64 {
    this.refuse(key, `is missing: it must be ${form}`);
    return 0;
  }

  private within(key: string, integer: i64, least: i64, most: i64): i64 {
    if (integer >= least && integer <= most) return integer;
    this.refuse(key, `must be within ${least} and ${most}, is ${integer}`);
    return least;
  }
}
