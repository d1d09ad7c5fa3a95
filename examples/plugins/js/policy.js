// Locked memory up to a limit for one user, placement of what is not realtime, and no realtime at all.
import * as effects from 'deputy:policy/effects@1.0.0';
import { uid } from 'deputy:policy/subject@1.0.0';
import { memoryLimit, threads } from 'deputy:policy/target@1.0.0';

let user;
let maxMemlock;

const ADDRESSED = { tag: 'addressed' };
const deny = (reason) => ({ tag: 'deny', val: reason });
const isRealtime = (policy) => policy === 'fifo' || policy === 'rr';

/** Allow if the effect was staged, else deny with the refusal's message: an `err` is thrown, with a payload. */
function staged(stage) {
  try {
    stage();
    return { tag: 'allow' };
  } catch (error) {
    if (error?.payload?.message === undefined) throw error;
    return deny(error.payload.message);
  }
}

function decideMemlock({ soft, hard }) {
  if (hard.tag === 'unlimited' || hard.val > maxMemlock) {
    return deny(`more than ${maxMemlock} bytes of locked memory`);
  }
  const limit = memoryLimit();
  if (limit !== undefined && hard.val > limit) {
    return deny(`more than the ${limit} bytes that its cgroup may use`);
  }
  const softBytes = soft.tag === 'unlimited' ? 2n ** 64n - 1n : soft.val;
  return staged(() => effects.setMemlock(softBytes, hard.val));
}

function decideCgroup({ group }) {
  const realtime = threads().find((thread) => isRealtime(thread.policy));
  if (realtime !== undefined) return deny(`thread ${realtime.tid} is realtime and stays where it is`);
  return staged(() => effects.moveCgroup(group, ADDRESSED));
}

function decideScheduler(change) {
  if (isRealtime(change.policy)) return deny('realtime is not for this policy');
  return staged(() => effects.setScheduler(ADDRESSED, change));
}

export const hooks = {
  init(settings) {
    const { uid: wanted, max_memlock: max } = JSON.parse(settings);
    if (!Number.isSafeInteger(wanted) || wanted < 0) throw 'uid must be an integer from 0 on';
    if (!Number.isSafeInteger(max) || max < 0) throw 'max_memlock must be a number of bytes';
    user = wanted;
    maxMemlock = BigInt(max);
  },

  decide(operation) {
    const asking = uid();
    if (asking !== user) return deny(`uid ${asking} may not ask`);
    switch (operation.tag) {
      case 'set-memlock':
        return decideMemlock(operation.val);
      case 'move-cgroup':
        return decideCgroup(operation.val);
      default:
        return decideScheduler(operation.val);
    }
  },
};
