/**
 * Which files the daemon may reach at all, whatever uid it has: root owns /etc/shadow, and needs no capability to read
 * it. By Landlock, where the kernel has it; an allow-list of folders, since Landlock knows no other.
 */
import { readdirSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { allowOnly, landlockVersion } from '../host-api/kernel/landlock.ts';
import type { DeputyToml } from './config/deputy-toml.ts';
import { packageRoot } from './package-root.ts';

/** Of the root's folders: where secrets, settings and people's files are. */
const CLOSED: ReadonlySet<string> = new Set([
  'boot',
  'etc',
  'home',
  'lost+found',
  'media',
  'mnt',
  'root',
  'srv',
]);
/** What libraries read of them. */
const NEEDED: readonly string[] = [
  '/etc/ld.so.cache',
  '/etc/localtime',
  '/etc/ssl/openssl.cnf',
  '/etc/ssl/certs',
];

export interface Places {
  readonly configDirectory: string;
  readonly config: Pick<DeputyToml, 'listen' | 'state' | 'audit'> | undefined;
  /** Paths that the command line puts in the place of deputy.toml's. */
  readonly overrides: readonly (string | undefined)[];
}

/** Restricts the calling thread, and what it executes. Undefined, or why it could not. */
export function restrictReach(places: Places): string | undefined {
  if (landlockVersion() === 0) return 'the kernel has no Landlock, or it is not enabled (lsm=)';
  allowOnly(reachable(places));
  return undefined;
}

export function reachable({ configDirectory, config, overrides }: Places): string[] {
  const open = readdirSync('/').filter((name) => !CLOSED.has(name));
  const files = [
    config?.listen.socket,
    config?.listen.admin_socket,
    config?.audit.file,
    ...overrides,
  ].flatMap((file) => (file === undefined ? [] : [dirname(file), file]));
  const paths = [
    ...open.map((name) => `/${name}`),
    ...NEEDED,
    configDirectory,
    config?.state.directory ?? configDirectory,
    ...files,
    dirname(process.execPath),
    ...programFolders(),
  ];
  // A rule holds for the file that a link leads to. "/" would open everything: a socket or log right below it stays shut.
  return [...new Set(paths.flatMap(resolved))].filter((path) => path !== '/');
}

function resolved(path: string): string[] {
  try {
    return [realpathSync(path)];
  } catch {
    return [];
  }
}

/** The package, and the outermost folder of packages that it may be installed in: its dependencies lie there. */
function programFolders(): string[] {
  const root = packageRoot();
  const packages = /^(.*?\/node_modules)\//.exec(realpathSync(root))?.[1];
  return packages === undefined ? [root] : [root, packages];
}
