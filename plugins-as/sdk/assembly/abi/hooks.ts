/** The two exports of the contract, flattened. What calls them is written by transform.mjs. */
import { Limit } from '../limit';
import { CgroupRequest, MemlockRequest, Operation } from '../operation';
import { Scheduling, SchedulingPolicy } from '../scheduling';
import { Settings } from '../settings';
import { Verdict } from '../verdict';
import { takeNumberList, takeText, withString } from './memory';

/** Holds a `verdict` or a `result<_, string>`: both are a tag at 0 and a string at 4 and 8. */
const answer: usize = memory.data(12, 4);
/** Keeps the text alive until the host has read it. */
let answerText: ArrayBuffer = new ArrayBuffer(0);

function answerWith(tag: u8, text: string): usize {
  answerText = withString(text);
  store<u8>(answer, tag);
  store<usize>(answer, changetype<usize>(answerText), 4);
  store<i32>(answer, answerText.byteLength, 8);
  return answer;
}

export function liftSettings(ptr: usize, bytes: u32): Settings {
  return Settings.parse(takeText(ptr, bytes));
}

/** An error if any setting was refused, with all that is wrong. */
export function lowerInit(settings: Settings): usize {
  const problems = settings.problems();
  return answerWith(problems.length == 0 ? 0 : 1, problems.join('; '));
}

/**
 * `operation` flattened: the cases share flat slots, each as wide as its widest user.
 * set-memlock: soft tag, soft bytes, hard tag, hard bytes. move-cgroup: text, length. set-scheduler: four options.
 */
export function liftOperation(
  tag: i32,
  a: i32,
  b: u64,
  c: i32,
  d: u64,
  e: i32,
  f: i32,
  g: i32,
  h: i32,
  i: i32,
): Operation {
  if (tag == 0) return new Operation(new MemlockRequest(liftLimit(a, b), liftLimit(c, d)), null, null);
  if (tag == 1) return new Operation(null, new CgroupRequest(takeText(a, <u32>b)), null);
  const change = new Scheduling();
  if (a != 0) change.policy = <SchedulingPolicy>(<i32>b);
  if (c != 0) change.priority = <u32>d;
  if (e != 0) change.nice = f;
  if (g != 0) change.affinity = takeNumberList(h, i);
  return new Operation(null, null, change);
}

function liftLimit(tag: i32, bytes: u64): Limit {
  return tag == 0 ? Limit.of(bytes) : Limit.unlimited();
}

export function lowerVerdict(verdict: Verdict): usize {
  return answerWith(verdict.tag, verdict.reason);
}
