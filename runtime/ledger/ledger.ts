/**
 * What deputy has granted and what was there before, on disk, so that it can be taken back whatever happens to the
 * daemon. An append-only journal: the intent is written *before* the first change, its outcome after the last. A kill
 * at any point leaves either a finished entry or an intent whose changes `open` hands back to be reverted.
 *
 * No fsync: the journal must outlive the daemon, not the machine. All that it describes is kernel state of this boot,
 * and a file of another boot is set aside unread (proc(5), /proc/sys/kernel/random/boot_id).
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'lossless-json';
import type { Change } from '../../host-api/change.ts';
import { type Layer, Layers } from './layers.ts';

const COMPACT_BYTES = 1 << 20;

type Line =
  | { readonly kind: 'boot'; readonly bootId: string }
  | {
      readonly kind: 'intent';
      readonly id: number;
      readonly scope: string;
      readonly lease: number | null;
      readonly changes: readonly Change[];
    }
  | { readonly kind: 'extend'; readonly id: number; readonly changes: readonly Change[] }
  | { readonly kind: 'committed'; readonly id: number; readonly changes: readonly Change[] }
  | { readonly kind: 'undone'; readonly id: number; readonly left: readonly Change[] }
  | { readonly kind: 'layer'; readonly layer: Layer }
  | { readonly kind: 'removed'; readonly layer: Layer };

export interface Owner {
  readonly scope: string;
  readonly lease: number | undefined;
}

interface Intent {
  readonly owner: Owner;
  readonly changes: readonly Change[];
}

export class Ledger {
  readonly #file: string;
  readonly #bootId: string;
  readonly #layers = new Layers();
  readonly #intents = new Map<number, Intent>();
  #fd: number;
  #size: number;
  #nextId = 1;

  private constructor(file: string, bootId: string) {
    this.#file = file;
    this.#bootId = bootId;
    this.#fd = -1;
    this.#size = 0;
  }

  /** Reads what an earlier daemon of this boot left. Throws the file system's error where the journal can't be used. */
  static open(directory: string, bootId: string): Ledger {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const ledger = new Ledger(join(directory, 'ledger.jsonl'), bootId);
    ledger.#replay();
    ledger.#compact();
    return ledger;
  }

  /** Intents without an outcome: the daemon died in the middle. What of them took effect has to be reverted. */
  unfinished(): { id: number; owner: Owner; changes: readonly Change[] }[] {
    return [...this.#intents].map(([id, { owner, changes }]) => ({ id, owner, changes }));
  }

  /** Must return before anything is changed. `changes` is what will be, as far as it can be known. */
  intent(owner: Owner, changes: readonly Change[]): number {
    const id = this.#nextId;
    this.#append({ kind: 'intent', id, scope: owner.scope, lease: owner.lease ?? null, changes });
    this.#nextId++;
    this.#intents.set(id, { owner, changes });
    return id;
  }

  /** Changes that became known while the intent was carried out: threads born meanwhile. */
  extend(id: number, changes: readonly Change[]): void {
    this.#append({ kind: 'extend', id, changes });
    this.#extend(id, changes);
  }

  /** All of the intent is applied; `changes` is what was done. */
  committed(id: number, changes: readonly Change[]): void {
    this.#append({ kind: 'committed', id, changes });
    this.#finish(id, changes);
  }

  /** The intent has been undone but for `left`, which stay held. */
  undone(id: number, left: readonly Change[]): void {
    this.#append({ kind: 'undone', id, left });
    this.#finish(id, left);
  }

  /** In the order of granting. */
  layers(filter: (layer: Layer) => boolean = () => true): Layer[] {
    return this.#layers.all().filter(filter);
  }

  /** What the kernel needs before `remove`: the change to revert, if any. */
  toRevert(layer: Layer): Change | undefined {
    return this.#layers.toRevert(layer);
  }

  /** Forgets a layer. To be called after its change was reverted: a kill in between is reverted again, harmlessly. */
  remove(layer: Layer): void {
    this.#append({ kind: 'removed', layer });
    this.#layers.remove(layer);
    if (this.#size > COMPACT_BYTES && this.#size > 1024 * this.#layers.size) this.#compact();
  }

  close(): void {
    closeSync(this.#fd);
  }

  #extend(id: number, changes: readonly Change[]): void {
    const intent = this.#intents.get(id);
    if (intent !== undefined) this.#intents.set(id, { ...intent, changes: [...intent.changes, ...changes] });
  }

  #finish(id: number, changes: readonly Change[]): void {
    const intent = this.#intents.get(id);
    this.#intents.delete(id);
    if (intent === undefined) return;
    for (const change of changes) {
      this.#layers.push({ id: this.#nextId++, scope: intent.owner.scope, lease: intent.owner.lease, change });
    }
  }

  #append(line: Line): void {
    const bytes = Buffer.from(`${stringify(line)}\n`);
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#fd, bytes, written);
    } catch (error) {
      // A stump would spoil the next line; what was not written was not promised either.
      if (written > 0) ftruncateSync(this.#fd, this.#size);
      throw error;
    }
    this.#size += bytes.length;
  }

  #replay(): void {
    if (!existsSync(this.#file)) return;
    const text = readFileSync(this.#file, 'utf8');
    // What follows the last newline is a line the daemon died in: an intent not wholly written was not begun, and an
    // outcome not wholly written leaves its intent open.
    const lines = text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .slice(0, -1);
    const [first, ...rest] = lines.map(parseLine);
    if (first?.kind !== 'boot') {
      if (lines.length > 0)
        throw new Error(`${this.#file}:1: not a ledger; move it away to start without it`);
      return;
    }
    if (first.bootId !== this.#bootId) return;
    rest.forEach((line, index) => {
      if (line === undefined)
        throw new Error(`${this.#file}:${index + 2}: damaged; what it held can't be restored`);
      this.#apply(line);
    });
  }

  #apply(line: Line): void {
    switch (line.kind) {
      case 'boot':
        return;
      case 'intent':
        this.#nextId = Math.max(this.#nextId, line.id + 1);
        this.#intents.set(line.id, {
          owner: { scope: line.scope, lease: line.lease ?? undefined },
          changes: line.changes,
        });
        return;
      case 'extend':
        this.#extend(line.id, line.changes);
        return;
      case 'committed':
        this.#finish(line.id, line.changes);
        return;
      case 'undone':
        this.#finish(line.id, line.left);
        return;
      case 'layer':
        this.#nextId = Math.max(this.#nextId, line.layer.id + 1);
        this.#layers.push(line.layer);
        return;
      case 'removed':
        this.#layers.remove(line.layer);
    }
  }

  /** Writes anew what still holds, beside the old file, and puts it in its place in one step. */
  #compact(): void {
    const lines: Line[] = [{ kind: 'boot', bootId: this.#bootId }];
    for (const layer of this.#layers.all()) lines.push({ kind: 'layer', layer });
    for (const { id, owner, changes } of this.unfinished()) {
      lines.push({ kind: 'intent', id, scope: owner.scope, lease: owner.lease ?? null, changes });
    }
    const fresh = `${this.#file}.new`;
    const fd = openSync(fresh, 'w', 0o600);
    try {
      const bytes = Buffer.from(lines.map((line) => `${stringify(line)}\n`).join(''));
      for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, this.#file);
    if (this.#fd !== -1) closeSync(this.#fd);
    this.#fd = openSync(this.#file, 'a', 0o600);
    this.#size = fstatSync(this.#fd).size;
  }
}

/** Fields that are 64 bits wide; every other number in a line is small. */
const WIDE = new Set(['startTimeTicks', 'val']);

function parseLine(text: string): Line | undefined {
  try {
    return parse(
      text,
      (key, value) => (typeof value === 'bigint' && !WIDE.has(key) ? Number(value) : value),
      BigInt,
    ) as Line;
  } catch {
    return undefined;
  }
}
