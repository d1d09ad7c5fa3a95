import type { Verdict } from '../../host-api/contract.ts';
import { Stage } from '../../host-api/stage.ts';
import type { GuestFault } from './abi/fault.ts';
import { LineBuffer } from './line-buffer.ts';
import { LogSink } from './log-sink.ts';
import type { Decision, DecisionInput } from './seam.ts';
import type { WasiOutput } from './wasi-deny.ts';

/** What the plugin is doing. It decides which imports answer. */
export type Phase = 'idle' | 'start' | 'init' | 'decide' | 'post-return';

/** What one call of the plugin sees and leaves behind. */
export class Call implements WasiOutput {
  readonly factsRead = new Set<string>();
  readonly log: LogSink;
  readonly input: DecisionInput | undefined;
  readonly stage: Stage | undefined;
  random = 0;
  #stdout: LineBuffer | undefined;
  #stderr: LineBuffer | undefined;

  constructor(logBytes: number, input?: DecisionInput) {
    this.log = new LogSink(logBytes);
    this.input = input;
    this.stage = input && new Stage(input.facts, input.ceilings, input.groups);
  }

  write(fd: 1 | 2, bytes: Uint8Array): void {
    if (fd === 1) this.#stdout ??= new LineBuffer(this.log, 'info');
    else this.#stderr ??= new LineBuffer(this.log, 'warn');
    (fd === 1 ? this.#stdout : this.#stderr)?.write(bytes);
  }

  /** Effects only with a clean `allow`: whatever was staged before a denial or a fault is dropped. */
  decision(
    plugin: string,
    answer: Verdict | undefined,
    fault: GuestFault | undefined,
    fuelUsed: bigint,
  ): Decision {
    this.#stdout?.flush();
    this.#stderr?.flush();
    const verdict: Verdict =
      fault === undefined && answer !== undefined
        ? answer
        : { tag: 'deny', val: `plugin ${plugin} failed: ${fault?.message ?? 'no verdict'}` };
    return {
      verdict,
      effects: verdict.tag === 'allow' ? (this.stage?.effects ?? []) : [],
      refusals: this.stage?.refusals ?? [],
      factsRead: [...this.factsRead],
      log: this.log.lines(),
      fuelUsed,
      fault: fault && { kind: fault.kind, message: fault.message },
    };
  }
}
