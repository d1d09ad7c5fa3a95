export const SIZE_FORM: string = 'a number of bytes or a size such as "64 MiB"';

const UNITS: string[] = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** For people: "4 GiB", "1536 MiB". Exact: a number that is no whole multiple keeps the lower unit. */
export function formatBytes(bytes: u64): string {
  let unit = 0;
  let rest = bytes;
  while (rest != 0 && rest % 1024 == 0 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit++;
  }
  return `${rest} ${UNITS[unit]}`;
}

/** "64 MiB" or "4GiB" in bytes; -1 where it is no size. Only binary units: "GB" means two things. */
export function parseSize(text: string): i64 {
  let end = 0;
  let amount: u64 = 0;
  for (; end < text.length; end++) {
    const digit = text.charCodeAt(end) - 48;
    if (digit < 0 || digit > 9) break;
    if (amount > (<u64>i64.MAX_VALUE - digit) / 10) return -1;
    amount = amount * 10 + digit;
  }
  if (end == 0) return -1;
  const name = text.substring(end < text.length && text.charCodeAt(end) == 32 ? end + 1 : end);
  // As in the manifests, which know no PiB.
  const unit = UNITS.indexOf(name);
  if (unit < 0 || unit > 4) return -1;
  const shift = unit * 10;
  return amount > <u64>i64.MAX_VALUE >> shift ? -1 : <i64>(amount << shift);
}
