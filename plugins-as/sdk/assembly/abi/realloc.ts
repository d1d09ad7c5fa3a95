/** The host's way to memory in which it writes strings and lists. It only ever asks for new blocks. */
export function cabi_realloc(old: usize, oldBytes: usize, align: usize, bytes: usize): usize {
  // `heap.realloc(0, …)` traps. Blocks are aligned to 16, which is more than any type of the contract needs.
  return old == 0 ? heap.alloc(bytes) : heap.realloc(old, bytes);
}
