/** The ELF kernel inside a bzImage (Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"). */
import { readFileSync } from 'node:fs';
import { runTool, SetupError } from './tools.ts';

const HEADER_MAGIC = 'HdrS';
const XZ_MAGIC = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);

export function extractVmlinux(file: string): Buffer {
  const image = readFileSync(file);
  if (image.toString('latin1', 0x202, 0x206) !== HEADER_MAGIC) throw new SetupError(`${file} is no bzImage`);
  const setupSectors = image[0x1f1] || 4;
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c));
  if (!payload.subarray(0, XZ_MAGIC.length).equals(XZ_MAGIC)) {
    throw new SetupError(`${file} is not compressed by xz, as Debian's kernels are`);
  }
  // The last four bytes are the uncompressed length, no part of the stream.
  return runTool('xz', ['-dc'], { input: payload.subarray(0, -4) });
}
