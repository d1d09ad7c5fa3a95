import * as host from './abi/imports';
import { area, takeLabels, takeString, withString } from './abi/memory';
import { Label } from './label';

/** Who asks: facts of the kernel about the peer of the socket. */
export namespace subject {
  export function uid(): u32 {
    return host.subject_uid();
  }

  export function gid(): u32 {
    return host.subject_gid();
  }

  /** The scope's cgroup path, such as "/system.slice/libvirtd.service". */
  export function scope(): string {
    host.subject_scope(area);
    return takeString(area);
  }

  /** The name of the scope pattern that matched, or "" for the fallback. */
  export function scopeName(): string {
    host.subject_scope_name(area);
    return takeString(area);
  }

  export function labels(): Label[] {
    host.subject_labels(area);
    return takeLabels(area);
  }

  /** What the scope pattern captured under this name, or null. */
  export function label(name: string): string | null {
    const text = withString(name);
    host.subject_label(changetype<usize>(text), text.byteLength, area);
    return load<u8>(area) == 0 ? null : takeString(area + 4);
  }
}
