/** The operator's interface, on a socket of its own that only root may open. */
import { ERRORS, type ErrorCode } from '../../host-api/errors.ts';
import { parseIdl } from '../varlink/idl.ts';
import { CHANGE_TYPES } from './change-types.ts';

export const ADMIN_VERSION = 1;

const RAISED: readonly ErrorCode[] = ['InvalidMessage', 'PeerGone', 'Busy', 'LedgerUnavailable', 'Internal'];

const errors = RAISED.map(
  (code) => `# ${ERRORS[code].message}.\nerror ${code} (message: string, detail: ?object)`,
).join('\n\n');

export const ADMIN =
  parseIdl(`# What the daemon holds and does, for its operator. Every call carries the version of this interface, 1.
interface io.deputy.Admin

${CHANGE_TYPES}

type Plugin (name: string, sha256: string, kind: string)

# The plugins that are asked for an operation, in their order.
type Chain (operation: string, plugins: []string)

# What one scope was granted of one process or thread: exactly one of the four changes. lease is the number of the
# connection whose end takes it back. before is what is restored.
type Grant (
  id: int,
  scope: string,
  lease: ?int,
  memlock: ?MemlockChange,
  cgroup: ?CgroupChange,
  scheduling: ?SchedulingChange,
  affinity: ?AffinityChange
)

# How the daemon is. auditSequence and auditHash are of the last audit record: note them elsewhere, and a cut-off tail
# of the log can be shown.
method Status(version: int) -> (
  daemonVersion: string,
  pid: int,
  uptimeMs: int,
  draining: bool,
  connections: int,
  grants: int,
  auditSequence: int,
  auditHash: string,
  auditFailing: bool,
  plugins: []Plugin,
  chains: []Chain
)

# All that is granted at the moment, in the order of granting.
method Ledger(version: int) -> (grants: []Grant)

# Audit records as they are written; to be called with more. A reply without a record says that the stream lives.
# dropped counts the records that a slow reader missed since the last reply.
method Monitor(version: int) -> (record: ?object, dropped: int)

# Counters in Prometheus's text format, version 0.0.4.
method Metrics(version: int) -> (text: string)

# Takes back everything that is granted, and grants nothing until the daemon is started again. What can't be restored
# stays in the ledger, with its reason in failed.
method Drain(version: int) -> (restored: int, gone: int, changedByAnother: int, failed: []string)

# The call speaks another version of the interface.
error VersionMismatch (message: string, requested: int, supported: int)

${errors}
`);
