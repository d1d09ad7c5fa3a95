/** Values that the host has written into our memory, and ours as the host reads them. */
import { Label } from '../label';
import { Limit } from '../limit';
import { SchedulingPolicy } from '../scheduling';
import { Thread } from '../thread';

/** Where the host writes results. One is enough: no call is made before the last one's result is read. */
export const area: usize = memory.data(32, 8);

/** sizes of the contract's records in a list (size and alignment of the canonical ABI) */
const LABEL_BYTES: usize = 16;
const THREAD_BYTES: usize = 40;

/** The host allocates with `cabi_realloc` and passes the block on to us. An empty one was never allocated. */
function release(ptr: usize, bytes: usize): void {
  if (bytes != 0) heap.free(ptr);
}

/** UTF-8 from the host, released. `at` holds pointer and length. */
export function takeString(at: usize): string {
  return takeText(load<usize>(at), load<u32>(at, 4));
}

export function takeText(ptr: usize, bytes: u32): string {
  const text = String.UTF8.decodeUnsafe(ptr, bytes);
  release(ptr, bytes);
  return text;
}

/** UTF-8 for the host. A lone surrogate becomes U+FFFD: the host takes no text that isn't valid. */
export function withString(text: string): ArrayBuffer {
  return String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE);
}

export function takeNumbers(at: usize): u32[] {
  return takeNumberList(load<usize>(at), load<i32>(at, 4));
}

export function takeNumberList(ptr: usize, length: i32): u32[] {
  const numbers = new Array<u32>(length);
  memory.copy(numbers.dataStart, ptr, <usize>length << 2);
  release(ptr, length);
  return numbers;
}

export function takeLimit(at: usize): Limit {
  return load<u8>(at) == 0 ? Limit.of(load<u64>(at, 8)) : Limit.unlimited();
}

export function takeLabels(at: usize): Label[] {
  const ptr = load<usize>(at);
  const length = load<i32>(at, 4);
  const labels = new Array<Label>(length);
  for (let index = 0; index < length; index++) {
    const item = ptr + <usize>index * LABEL_BYTES;
    labels[index] = new Label(takeString(item), takeString(item + 8));
  }
  release(ptr, length);
  return labels;
}

export function takeThreads(at: usize): Thread[] {
  const ptr = load<usize>(at);
  const length = load<i32>(at, 4);
  const threads = new Array<Thread>(length);
  for (let index = 0; index < length; index++) {
    const item = ptr + <usize>index * THREAD_BYTES;
    threads[index] = new Thread(
      load<u32>(item),
      takeString(item + 4),
      <SchedulingPolicy>load<u8>(item, 12),
      load<u32>(item, 16),
      load<i32>(item, 20),
      takeNumbers(item + 24),
      takeString(item + 32),
    );
  }
  release(ptr, length);
  return threads;
}
