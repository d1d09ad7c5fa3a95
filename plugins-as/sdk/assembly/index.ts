/**
 * What a policy is written with. Every name here is documented in docs/plugins.md; the contract behind them is
 * host-api/wit/deputy.wit.
 */
export { MemlockRequest, CgroupRequest, Operation } from './operation';
export { Verdict, allow, deny, pass } from './verdict';
export { Settings } from './settings';
export { Limit } from './limit';
export { formatBytes } from './size';
export { Scheduling, SchedulingPolicy, policyName } from './scheduling';
export { Label } from './label';
export { Thread } from './thread';
export { subject } from './subject';
export { target, Memlock } from './target';
export { ledger } from './ledger';
export { effects, Staged, Refusal, RefusalCode } from './effects';
export { log } from './log';
