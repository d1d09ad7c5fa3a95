import { Guest } from '../../../../runtime/sandbox/abi/guest.ts';

/** A guest without code: one memory and an allocator that only goes up. */
export function hostGuest(pages = 4): { guest: Guest; memory: WebAssembly.Memory; burnt: () => number } {
  const memory = new WebAssembly.Memory({ initial: pages });
  const guest = new Guest();
  let next = 4096;
  let burnt = 0;
  guest.attach({
    memory,
    realloc: (_old, _oldSize, align, size) => {
      const block = Math.ceil(next / align) * align;
      next = block + size;
      return block;
    },
    burn: (units) => {
      burnt += units;
      return true;
    },
  });
  guest.begin();
  return { guest, memory, burnt: () => burnt };
}
