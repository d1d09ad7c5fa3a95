/**
 * Rewrites the code of one function. What comes out, with `fuel` cached in a local, where V8 keeps it in a register:
 *
 * ```
 * block $exhausted
 *   ;; fuel := the global; if below zero, br $exhausted
 *   ;; if the function calls: the depth grows by the frame's weight; if beyond the limit, br $exhausted
 *   block $body (result …)          ;; takes the place of the function's own label, so no branch is renumbered
 *     the function's code:
 *       ;; at the end of each straight line, the line's cost is taken from fuel; a short `if` is part of its line
 *       ;; at the head of each loop: if fuel is below zero, br $exhausted
 *       ;; around each call: fuel is written to the global before and read after it
 *       ;; before each bulk operation: its length is taken from fuel, and if that is below zero, br $exhausted
 *   end
 *   ;; fuel is written back; the depth goes down
 *   return
 * end
 * ;; fuel is written back
 * unreachable
 * ```
 *
 * A line is paid for behind it: fuel can go below zero by at most the cost of one function's code without its loops,
 * and every call and every turn of a loop looks at it. Sums are of 64 bits, and none can come near wrapping.
 */
import { BodyReader, EMPTY_BLOCK } from '../inspect/body.ts';
import type { FuncType, ModuleShape } from '../inspect/module.ts';
import {
  COST_CLASS,
  FEATURE,
  FEATURES,
  IMMEDIATE,
  IMMEDIATES,
  LEAVES,
  MISC,
  TAKES,
  VECTOR,
} from '../inspect/opcodes.ts';
import { BULK_BYTES_LOG2, COSTS, ELEMENT_COST, FRAME_SLOTS, LOCAL_COST } from './costs.ts';
import type { Writer } from './writer.ts';

/** What the code of every function refers to. */
export interface BodyContext {
  readonly shape: ModuleShape;
  /** Indices of the globals. */
  readonly fuel: number;
  readonly depth: number;
  readonly callDepth: number;
  /** What memory.grow and table.grow could reach at most. */
  readonly memoryPages: number;
  readonly tableElements: number;
  /** The index of a type that takes nothing and leaves these results. */
  readonly blockTypeOf: (results: Uint8Array) => number;
}

/** What one function's code does that matters to its module. */
export interface BodyFacts {
  /** Branches times locals: see `Caps.merges`. */
  readonly merges: number;
  /** Whether it changes what a snapshot of memory and globals does not hold: tables, dropped segments. */
  readonly changesMore: boolean;
  /** Fuel from the start to the end of the code if no branch is taken and nothing is called. */
  readonly straight: number;
}

const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  tableSet: 0x26,
  memorySize: 0x3f,
  memoryGrow: 0x40,
  i32Const: 0x41,
  i64Const: 0x42,
  i32LeU: 0x4d,
  i32GtS: 0x4a,
  i64LtS: 0x53,
  i64LeU: 0x58,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64Shl: 0x86,
  i64ShrU: 0x88,
  i64ExtendI32U: 0xad,
  memoryInit: MISC + 8,
  dataDrop: MISC + 9,
  memoryCopy: MISC + 10,
  memoryFill: MISC + 11,
  tableInit: MISC + 12,
  elemDrop: MISC + 13,
  tableCopy: MISC + 14,
  tableGrow: MISC + 15,
  tableSize: MISC + 16,
  tableFill: MISC + 17,
} as const;

const I32 = 0x7f;
const I64 = 0x7e;
const EMPTY = 0x40;
const PAGE_LOG2 = 16;
const NOTHING = -1;
/** Instructions that an `if` may have to be paid for as a whole. */
const SHORT_IF = 32;
const COST = Uint8Array.from(COST_CLASS, (one) => (one === undefined ? 0 : COSTS[one]));
const MVP = FEATURES.indexOf('mvp');

/** Instructions that need more than to be counted. */
const SPECIAL = new Uint8Array(COST_CLASS.length);
for (const opcode of Object.values(OP)) {
  const immediate = IMMEDIATES[IMMEDIATE[opcode] ?? 0];
  const bulk = opcode >= MISC && opcode !== OP.tableSize;
  const control = opcode <= OP.callIndirect;
  SPECIAL[opcode] = bulk || control || opcode === OP.tableSet || opcode === OP.memoryGrow ? 1 : 0;
  if (immediate === 'refused') throw new TypeError(`opcode ${opcode} is refused`);
}

/** A block, loop or if that is open. */
interface Frame {
  kind: number;
  /** Operands below it. */
  base: number;
  params: number;
  results: number;
  /** Whether a branch leads to its end. */
  joined: boolean;
  /** Whether the code around it can be reached. */
  live: boolean;
}

export class BodyMeter {
  readonly #context: BodyContext;
  readonly #shape: ModuleShape;
  /** The rewritten instructions, before it is known what must come ahead of them. */
  readonly #code: Writer;
  readonly #frames: Frame[] = [];
  #in: BodyReader;
  /** Up to here the instructions have been copied. */
  #copied = 0;
  #pending = 0;
  #straight = 0;
  #height = 0;
  #highest = 0;
  #live = true;
  #calls = false;
  #scratchUsed = false;
  #changesMore = false;
  #branches = 0;
  /** Indices of the locals added: fuel, and an i32. */
  #fuel = 0;
  #scratch = 0;
  #open = 0;
  /** The `if` that is paid for already, by the blocks that were open before it. */
  #paidFor = NOTHING;

  constructor(context: BodyContext, code: Writer) {
    this.#context = context;
    this.#shape = context.shape;
    this.#code = code;
    this.#in = new BodyReader(context.shape, 0, 0);
  }

  /** Appends the function, its size first, to `out`. */
  rewrite(index: number, type: FuncType, out: Writer, whole: Writer): BodyFacts {
    const body = this.#shape.bodies[index];
    if (body === undefined) throw new TypeError(`no body ${index}`);
    const input = new BodyReader(this.#shape, body.from, body.to);
    this.#in = input;
    input.readLocals(type.params.length);
    const localsEnd = input.at;
    const locals = type.params.length + input.locals;
    this.#begin(type, input.locals, locals);
    while (input.next()) this.#instruction();
    if (this.#open !== 0) input.fail('invalid', 'the code of a function has no end', body.to);

    const slots = locals + this.#highest;
    if (slots > this.#shape.caps.frameSlots) {
      const most = this.#shape.caps.frameSlots;
      input.fail('limit', `${slots} locals and operands in a function, the limit is ${most}`, body.from);
    }
    whole.clear();
    const added = this.#scratchUsed || this.#calls ? 2 : 1;
    const groups = new BodyReader(this.#shape, body.from, body.to);
    whole.u32(groups.u32() + added);
    whole.copy(this.#shape.bytes, groups.at, localsEnd);
    whole.u8(1);
    whole.u8(I64);
    if (added === 2) {
      whole.u8(1);
      whole.u8(I32);
    }
    this.#enter(whole, type, locals);
    whole.append(this.#code);
    this.#leave(whole, locals);
    out.u32(whole.length);
    out.append(whole);
    return {
      merges: this.#branches * locals,
      changesMore: this.#changesMore,
      straight: this.#straight,
    };
  }

  #begin(type: FuncType, declared: number, locals: number): void {
    this.#code.clear();
    this.#copied = this.#in.at;
    this.#open = 0;
    this.#paidFor = NOTHING;
    this.#height = 0;
    this.#highest = 0;
    this.#live = true;
    this.#calls = false;
    this.#scratchUsed = false;
    this.#changesMore = false;
    this.#branches = 0;
    this.#fuel = locals;
    this.#scratch = locals + 1;
    this.#straight = 0;
    this.#pending = 0;
    this.#spend(LOCAL_COST * declared);
    this.#push(OP.block, 0, type.results.length);
  }

  #instruction(): void {
    const input = this.#in;
    const { opcode } = input;
    const feature = FEATURE[opcode] ?? 0;
    if (feature !== MVP) {
      const name = FEATURES[feature];
      if (name !== undefined && !this.#shape.features.has(name)) {
        this.#shape.features.set(name, input.opcodeAt);
      }
      if (opcode >= VECTOR) input.usesVectors = true;
    }
    // Behind the `end` of the function's own block there is nothing.
    if (this.#open === 0) input.fail('invalid', 'code behind the end of a function', input.opcodeAt);
    if (SPECIAL[opcode] === 1) {
      this.#special(opcode);
      return;
    }
    this.#spend(COST[opcode] ?? 0);
    this.#operands(TAKES[opcode] ?? 0, LEAVES[opcode] ?? 0);
  }

  #special(opcode: number): void {
    const input = this.#in;
    switch (opcode) {
      case OP.block:
      case OP.loop:
      case OP.if: {
        this.#branches++;
        if (opcode === OP.if) {
          this.#spend(COSTS.branch);
          this.#operands(1, 0);
          this.#payForShort();
        }
        if (opcode !== OP.block) this.#settle(input.opcodeAt);
        const type = input.a >= 0 ? this.#shape.types[input.a] : undefined;
        const params = type?.params.length ?? 0;
        const results = type?.results.length ?? (input.a === EMPTY_BLOCK ? 0 : 1);
        this.#push(opcode, params, results);
        if (opcode === OP.loop && this.#live) {
          this.#copyTo(input.at);
          this.#check();
          this.#spend(COSTS.branch);
        }
        return;
      }
      case OP.else: {
        this.#settle(input.opcodeAt);
        const frame = this.#top();
        frame.kind = OP.else;
        this.#live = frame.live;
        this.#height = frame.base + frame.params;
        this.#high();
        return;
      }
      case OP.end:
        return this.#end();
      case OP.br:
      case OP.brIf:
        this.#branches++;
        this.#spend(COSTS.branch);
        if (opcode === OP.brIf) this.#operands(1, 0);
        this.#settle(input.opcodeAt);
        this.#target(input.a);
        if (opcode === OP.br) this.#dead();
        return;
      case OP.brTable:
        this.#branches += input.labels.length + 1;
        this.#spend(COSTS.branchTable);
        this.#operands(1, 0);
        this.#settle(input.opcodeAt);
        for (const label of input.labels) this.#target(label);
        this.#target(input.a);
        this.#dead();
        return;
      case OP.return:
        this.#branches++;
        this.#spend(COSTS.branch);
        this.#settle(input.opcodeAt);
        if (this.#live) {
          // By way of the end of $body, where fuel is written back.
          this.#copyTo(input.opcodeAt);
          this.#code.u8(OP.br);
          this.#code.u32(this.#open - 1);
          this.#copied = input.at;
        }
        this.#target(this.#open - 1);
        this.#dead();
        return;
      case OP.unreachable:
        this.#flush(input.opcodeAt, OP.globalSet, this.#context.fuel);
        this.#dead();
        return;
      case OP.call:
      case OP.callIndirect: {
        this.#spend(opcode === OP.call ? COSTS.call : COSTS.callIndirect);
        const typeIndex = opcode === OP.call ? this.#shape.functions[input.a] : input.a;
        const type = typeIndex === undefined ? undefined : this.#shape.types[typeIndex];
        if (type === undefined) return input.fail('invalid', 'a call of what does not exist', input.opcodeAt);
        const takes = type.params.length + (opcode === OP.callIndirect ? 1 : 0);
        this.#operands(takes, type.results.length);
        if (!this.#live) return;
        this.#calls = true;
        this.#flush(input.opcodeAt, OP.globalSet, this.#context.fuel);
        this.#copyTo(input.at);
        this.#code.u8(OP.globalGet);
        this.#code.u32(this.#context.fuel);
        this.#code.u8(OP.localSet);
        this.#code.u32(this.#fuel);
        return;
      }
      case OP.tableSet:
      case OP.dataDrop:
      case OP.elemDrop:
        this.#changesMore = true;
        break;
      default:
        this.#bulk(opcode);
    }
    this.#spend(COST[opcode] ?? 0);
    this.#operands(TAKES[opcode] ?? 0, LEAVES[opcode] ?? 0);
  }

  #end(): void {
    const input = this.#in;
    const frame = this.#top();
    // The end of a loop is reached from above alone; that of a block only so if nothing branches there.
    const joins = frame.kind === OP.if || frame.kind === OP.else || frame.joined || this.#open === 1;
    if (this.#live && this.#height !== frame.base + frame.results) {
      input.fail(
        'invalid',
        `${this.#height - frame.base} operands where ${frame.results} are due`,
        input.opcodeAt,
      );
    }
    if (joins) this.#settle(input.opcodeAt);
    const reached = this.#live || (frame.kind !== OP.loop && frame.joined) || frame.kind === OP.if;
    this.#live = frame.live && reached;
    this.#height = frame.base + frame.results;
    this.#high();
    this.#open--;
    if (this.#open === this.#paidFor) this.#paidFor = NOTHING;
    if (this.#open === 0) this.#copyTo(input.at);
  }

  /**
   * An `if` whose arms are a few plain instructions is paid for as a whole, by the dearer arm, in the line that it
   * stands in: two updates of the counter less in the loops of parsers, where they would cost most.
   */
  #payForShort(): void {
    if (!this.#live || this.#paidFor !== NOTHING) return;
    const ahead = new BodyReader(this.#shape, this.#in.at, this.#in.end);
    /** Of each open `if`, innermost last: what its first arm costs, once that is over, and this arm so far. */
    const open = [{ first: 0, arm: 0 }];
    for (let left = SHORT_IF; left > 0 && ahead.next(); left--) {
      const { opcode } = ahead;
      const inner = open.at(-1);
      if (inner === undefined) return;
      if (SPECIAL[opcode] === 0) {
        inner.arm += COST[opcode] ?? 0;
      } else if (opcode === OP.if) {
        open.push({ first: 0, arm: COSTS.branch });
      } else if (opcode === OP.else) {
        inner.first = inner.arm;
        inner.arm = 0;
      } else if (opcode === OP.end) {
        open.pop();
        const dearer = Math.max(inner.first, inner.arm);
        const outer = open.at(-1);
        if (outer === undefined) {
          this.#spend(dearer);
          this.#paidFor = this.#open;
          return;
        }
        outer.arm += dearer;
      } else {
        return;
      }
    }
  }

  /** Takes the length of a bulk operation, which lies on top of the operands, before it is run. */
  #bulk(opcode: number): void {
    const input = this.#in;
    const { memoryPages, tableElements } = this.#context;
    if (
      opcode === OP.tableInit ||
      opcode === OP.tableCopy ||
      opcode === OP.tableGrow ||
      opcode === OP.tableFill
    ) {
      this.#changesMore = true;
    }
    if (!this.#live) return;
    switch (opcode) {
      case OP.memoryGrow:
        this.#chargeLength(OP.i64Shl, PAGE_LOG2 - BULK_BYTES_LOG2, () => this.#atMost(memoryPages));
        return;
      case OP.memoryCopy:
      case OP.memoryFill:
        this.#chargeLength(OP.i64ShrU, BULK_BYTES_LOG2, () => {
          const code = this.#code;
          code.u8(OP.i64ExtendI32U);
          code.u8(OP.memorySize);
          code.u8(0);
          code.u8(OP.i64ExtendI32U);
          code.u8(OP.i64Const);
          code.signed(PAGE_LOG2);
          code.u8(OP.i64Shl);
          code.u8(OP.i64LeU);
        });
        return;
      case OP.memoryInit: {
        const most = this.#shape.dataSegments[input.a] ?? 0;
        this.#chargeLength(OP.i64ShrU, BULK_BYTES_LOG2, () => this.#atMost(most));
        return;
      }
      case OP.tableInit: {
        const most = this.#shape.elementSegments[input.a] ?? 0;
        this.#chargeLength(OP.i64Mul, ELEMENT_COST, () => this.#atMost(most));
        return;
      }
      case OP.tableGrow:
        this.#chargeLength(OP.i64Mul, ELEMENT_COST, () => this.#atMost(tableElements));
        return;
      default: {
        // table.copy names the table it copies to first; by the smaller one it would do as well.
        const table = input.a;
        this.#chargeLength(OP.i64Mul, ELEMENT_COST, () => {
          const code = this.#code;
          code.u8(0xfc);
          code.u32(OP.tableSize - MISC);
          code.u32(table);
          code.u8(OP.i32LeU);
        });
      }
    }
  }

  #atMost(most: number): void {
    this.#code.u8(OP.i32Const);
    // As signed: the operand is unsigned, of 32 bits.
    this.#code.signed(Math.min(most, 0xffff_ffff) | 0);
    this.#code.u8(OP.i32LeU);
  }

  /**
   * fuel −= length · rate. Where the length is more than can be there, nothing is taken: the operation then does
   * nothing but trap as out of bounds, or answer −1.
   */
  #chargeLength(rateOp: number, rate: number, fits: () => void): void {
    const code = this.#code;
    this.#scratchUsed = true;
    this.#copyTo(this.#in.opcodeAt);
    code.u8(OP.localSet);
    code.u32(this.#scratch);
    code.u8(OP.localGet);
    code.u32(this.#fuel);
    code.u8(OP.localGet);
    code.u32(this.#scratch);
    code.u8(OP.i64ExtendI32U);
    code.u8(OP.i64Const);
    code.signed(rate);
    code.u8(rateOp);
    code.u8(OP.i64Const);
    code.signed(0);
    code.u8(OP.localGet);
    code.u32(this.#scratch);
    fits();
    code.u8(OP.select);
    code.u8(OP.i64Sub);
    code.u8(OP.localSet);
    code.u32(this.#fuel);
    this.#check();
    code.u8(OP.localGet);
    code.u32(this.#scratch);
  }

  /** If fuel is below zero, br $exhausted. */
  #check(): void {
    const code = this.#code;
    code.u8(OP.localGet);
    code.u32(this.#fuel);
    code.u8(OP.i64Const);
    code.signed(0);
    code.u8(OP.i64LtS);
    code.u8(OP.brIf);
    code.u32(this.#open);
  }

  #spend(units: number): void {
    if (!this.#live || this.#paidFor !== NOTHING) return;
    this.#pending += units;
    this.#straight += units;
  }

  /** Takes what the line up to `at` has cost from fuel. */
  #settle(at: number): void {
    if (this.#paidFor !== NOTHING) return;
    if (this.#pending > 0 && this.#live) this.#flush(at, OP.localSet, this.#fuel);
    this.#pending = 0;
  }

  /** The same, to be kept in the global, or in the local. */
  #flush(at: number, set: number, index: number): void {
    if (!this.#live) return;
    const code = this.#code;
    this.#copyTo(at);
    code.u8(OP.localGet);
    code.u32(this.#fuel);
    if (this.#pending > 0) {
      code.u8(OP.i64Const);
      code.signed(this.#pending);
      code.u8(OP.i64Sub);
    }
    code.u8(set);
    code.u32(index);
    this.#pending = 0;
  }

  #copyTo(at: number): void {
    this.#code.copy(this.#shape.bytes, this.#copied, at);
    this.#copied = at;
  }

  #operands(takes: number, leaves: number): void {
    const base = this.#top().base;
    const left = this.#height - takes;
    // In code that can't be reached, operands may be taken that aren't there.
    this.#height = (left < base ? base : left) + leaves;
    if (this.#height > this.#highest) this.#highest = this.#height;
  }

  #high(): void {
    if (this.#height > this.#highest) this.#highest = this.#height;
  }

  #dead(): void {
    this.#live = false;
    this.#pending = 0;
    this.#height = this.#top().base;
  }

  #push(kind: number, params: number, results: number): void {
    const base = Math.max(0, this.#height - params);
    const most = this.#shape.caps.nesting;
    if (this.#open >= most) {
      this.#in.fail('limit', `blocks nested deeper than ${most}`, this.#in.opcodeAt);
    }
    const frame = this.#frames[this.#open];
    if (frame === undefined) {
      this.#frames.push({ kind, base, params, results, joined: false, live: this.#live });
    } else {
      frame.kind = kind;
      frame.base = base;
      frame.params = params;
      frame.results = results;
      frame.joined = false;
      frame.live = this.#live;
    }
    this.#open++;
  }

  #top(): Frame {
    return this.#frames[this.#open - 1] ?? this.#in.fail('invalid', 'no open block', this.#in.opcodeAt);
  }

  #target(label: number): void {
    if (!this.#live) return;
    const frame = this.#frames[this.#open - 1 - label];
    if (label >= this.#open || frame === undefined) {
      this.#in.fail('invalid', `a branch to label ${label}, of ${this.#open}`, this.#in.opcodeAt);
    }
    frame.joined = true;
  }

  #weight(locals: number): number {
    const slots = (locals + this.#highest) * (this.#in.usesVectors ? 2 : 1);
    return 1 + Math.floor(slots / FRAME_SLOTS);
  }

  #enter(out: Writer, type: FuncType, locals: number): void {
    const { fuel, depth, callDepth } = this.#context;
    out.u8(OP.block);
    out.u8(EMPTY);
    out.u8(OP.globalGet);
    out.u32(fuel);
    out.u8(OP.localTee);
    out.u32(this.#fuel);
    out.u8(OP.i64Const);
    out.signed(0);
    out.u8(OP.i64LtS);
    out.u8(OP.brIf);
    out.u32(0);
    if (this.#calls) {
      out.u8(OP.globalGet);
      out.u32(depth);
      out.u8(OP.i32Const);
      out.signed(this.#weight(locals));
      out.u8(OP.i32Add);
      out.u8(OP.localTee);
      out.u32(this.#scratch);
      out.u8(OP.globalSet);
      out.u32(depth);
      out.u8(OP.localGet);
      out.u32(this.#scratch);
      out.u8(OP.i32Const);
      out.signed(callDepth);
      out.u8(OP.i32GtS);
      out.u8(OP.brIf);
      out.u32(0);
    }
    out.u8(OP.block);
    const [first, ...more] = type.results;
    if (first === undefined) out.u8(EMPTY);
    else if (more.length === 0) out.u8(first);
    else out.signed(this.#context.blockTypeOf(type.results));
  }

  #leave(out: Writer, locals: number): void {
    const { fuel, depth } = this.#context;
    out.u8(OP.localGet);
    out.u32(this.#fuel);
    out.u8(OP.globalSet);
    out.u32(fuel);
    if (this.#calls) {
      out.u8(OP.globalGet);
      out.u32(depth);
      out.u8(OP.i32Const);
      out.signed(this.#weight(locals));
      out.u8(OP.i32Sub);
      out.u8(OP.globalSet);
      out.u32(depth);
    }
    out.u8(OP.return);
    out.u8(OP.end);
    out.u8(OP.localGet);
    out.u32(this.#fuel);
    out.u8(OP.globalSet);
    out.u32(fuel);
    out.u8(OP.unreachable);
    out.u8(OP.end);
  }
}
