import { hex, type ModuleShape, opcodeName } from './module.ts';
import { IMMEDIATE, IMMEDIATES, type Immediate, MISC, VECTOR } from './opcodes.ts';
import { Reader } from './reader.ts';

const code = (immediate: Immediate): number => IMMEDIATES.indexOf(immediate);
const NONE = code('none');
const BLOCK_TYPE = code('block type');
const LABEL = code('label');
const LABELS = code('labels');
const FUNCTION = code('function');
const TYPE_TABLE = code('type and table');
const INDEX = code('index');
const TWO_INDICES = code('two indices');
const MEMORY = code('memory');
const DATA_MEMORY = code('data and memory');
const TWO_MEMORIES = code('two memories');
const MEMARG = code('memarg');
const MEMARG_LANE = code('memarg and lane');
const LANE = code('lane');
const I32 = code('i32');
const I64 = code('i64');
const BYTES_4 = code('4 bytes');
const BYTES_8 = code('8 bytes');
const BYTES_16 = code('16 bytes');
const VALUE_TYPES = code('value types');
const REFERENCE = code('reference type');

/** `a` of a block type that is no index of a type: the byte itself, below zero. */
export const EMPTY_BLOCK = -0x40;

/** Steps through the code of a function, an instruction at a time, and refuses what no plugin may hold. */
export class BodyReader extends Reader {
  readonly #shape: ModuleShape;
  /** Opcode of the current instruction, as the tables of `opcodes.ts` count, and its offset. */
  opcode = 0;
  opcodeAt = 0;
  /** The first two immediates that are numbers; of a br_table, `a` is the default. */
  a = 0;
  b = 0;
  /** Of a br_table, without the default. */
  labels: number[] = [];
  /** Locals beyond the parameters. */
  locals = 0;
  usesVectors = false;

  constructor(shape: ModuleShape, from: number, to: number) {
    super(shape.bytes, from, to);
    this.#shape = shape;
  }

  /** Reads the declarations of locals. `params` count against the limit. */
  readLocals(params: number): void {
    const most = this.#shape.caps.locals;
    const at = this.at;
    // Groups of no locals are valid, so their number isn't bounded by that of locals.
    for (let groups = this.count('groups of locals', most); groups > 0; groups--) {
      this.locals += this.u32();
      if (params + this.locals > most) {
        this.fail('limit', `more than ${most} locals and parameters in a function`, at);
      }
      const typeAt = this.at;
      const type = this.u8();
      if (type === 0x7b) this.usesVectors = true;
      else if (type === 0x70 || type === 0x6f) this.#uses('reference-types', typeAt);
      else if (type < 0x7c || type > 0x7f) this.fail('unsupported', `a local of type ${hex(type)}`, typeAt);
    }
  }

  /** False behind the last instruction. */
  next(): boolean {
    if (this.at >= this.end) return false;
    this.opcodeAt = this.at;
    const first = this.u8();
    let opcode = first;
    if (first === 0xfc || first === 0xfd) {
      const sub = this.u32();
      opcode = (first === 0xfc ? MISC : VECTOR) + sub;
      // Beyond the first table, MISC would run into VECTOR's.
      if (sub >= 0x100 || (IMMEDIATE[opcode] ?? 0) === 0) {
        this.fail('unsupported', opcodeName(first, sub, opcode), this.opcodeAt);
      }
    }
    this.opcode = opcode;
    const immediate = IMMEDIATE[opcode] ?? 0;
    if (immediate !== NONE) this.#immediates(immediate);
    return true;
  }

  #immediates(immediate: number): void {
    switch (immediate) {
      case INDEX:
      case LABEL:
      case FUNCTION:
        this.a = this.u32();
        return;
      case I32:
        return this.skipLeb(5);
      case MEMARG:
      case MEMARG_LANE:
        this.#memarg();
        if (immediate === MEMARG_LANE) this.skip(1);
        return;
      case BLOCK_TYPE:
        this.#blockType();
        return;
      case TYPE_TABLE:
      case TWO_INDICES:
        this.a = this.u32();
        this.b = this.u32();
        return;
      case I64:
        return this.skipLeb(10);
      case BYTES_4:
        return this.skip(4);
      case BYTES_8:
        return this.skip(8);
      case BYTES_16:
        return this.skip(16);
      case LANE:
        return this.skip(1);
      case LABELS:
        return this.#branchTable();
      case DATA_MEMORY:
        this.a = this.u32();
        return this.#memory();
      case TWO_MEMORIES:
        this.#memory();
        return this.#memory();
      case MEMORY:
        return this.#memory();
      case VALUE_TYPES:
        // The number of types is part of the instruction, and must be one for now.
        if (this.u32() !== 1) this.fail('unsupported', 'a select of more than one value', this.opcodeAt);
        return this.#valueType();
      case REFERENCE:
        this.a = this.u8();
        if (this.a !== 0x70 && this.a !== 0x6f) {
          this.fail('unsupported', `a reference of type ${hex(this.a)}`, this.at - 1);
        }
        return;
      default:
        this.fail('unsupported', opcodeName(undefined, this.opcode, this.opcode), this.opcodeAt);
    }
  }

  #blockType(): void {
    const at = this.at;
    const byte = this.u8();
    if (byte === 0x40 || (byte >= 0x7b && byte <= 0x7f) || byte === 0x70 || byte === 0x6f) {
      this.a = -byte;
      if (byte === 0x7b) this.usesVectors = true;
      return;
    }
    // Signed, of 33 bits: with the sign bit it would be a type of one byte that isn't known.
    if (byte < 0x80 && byte >= 0x40) this.fail('unsupported', `a block of type ${hex(byte)}`, at);
    this.at = at;
    this.a = this.u32();
    const type = this.#shape.types[this.a];
    if (type === undefined) this.fail('invalid', `type ${this.a} does not exist`, at);
    this.#uses('multi-value', at);
  }

  #branchTable(): void {
    const count = this.count('br_table targets', this.#shape.caps.branchTargets);
    this.labels.length = count;
    for (let index = 0; index < count; index++) this.labels[index] = this.u32();
    this.a = this.u32();
  }

  #memarg(): void {
    const at = this.at;
    // From 64 on, the alignment would say that the index of a memory follows.
    if (this.u32() >= 64)
      this.fail('unsupported', 'the index of a memory: multi-memory is not supported', at);
    this.u32();
  }

  #memory(): void {
    const at = this.at;
    if (this.u8() !== 0) this.fail('unsupported', 'the index of a memory: multi-memory is not supported', at);
  }

  #valueType(): void {
    const at = this.at;
    const type = this.u8();
    if (type === 0x7b) this.usesVectors = true;
    else if (type !== 0x70 && type !== 0x6f && (type < 0x7c || type > 0x7f)) {
      this.fail('unsupported', `a value of type ${hex(type)}`, at);
    }
  }

  #uses(feature: 'reference-types' | 'multi-value', at: number): void {
    const { features } = this.#shape;
    if (!features.has(feature)) features.set(feature, at);
  }
}
