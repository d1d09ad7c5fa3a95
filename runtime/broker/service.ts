/** io.deputy.Broker: from a call to the way of a request, and back. */

import type { Logger } from 'pino';
import { DeputyError, type ErrorDetail } from '../../host-api/errors.ts';
import type { Caller } from '../caller.ts';
import { type Capability, capabilitiesOf } from '../capabilities.ts';
import { explainRequest, handleRequest, type Stations } from '../handle-request.ts';
import type { Request } from '../request.ts';
import { closeTarget, resolveTarget } from '../resolve-target.ts';
import type { Json } from '../varlink/json.ts';
import {
  invalidParameter,
  type Method,
  type Parameters,
  VarlinkError,
  type VarlinkInterface,
} from '../varlink/service.ts';
import { validateStruct } from '../varlink/validate.ts';
import { BROKER, BROKER_VERSION } from './interface.ts';
import { precheckVersion } from './precheck-version.ts';
import { readMoveCgroup, readSetMemlock, readSetScheduler, readTarget } from './read-request.ts';
import { describeChange, writeOutcome, writeStep } from './write-outcome.ts';

const READERS: Readonly<Record<string, (parameters: Parameters) => Request>> = {
  SetMemlock: readSetMemlock,
  MoveCgroup: readMoveCgroup,
  SetScheduler: readSetScheduler,
};

/** Throws for a caller that may not even ask now: over its rate. */
export type Admission = (caller: Caller) => void;

export function brokerInterface(
  stations: Stations,
  admit: Admission,
  logger: Logger,
): VarlinkInterface<Caller> {
  const method =
    (run: (parameters: Parameters, caller: Caller) => Parameters): Method<Caller> =>
    (parameters, caller) => {
      admit(caller);
      return run(parameters, caller);
    };
  const operation = (read: (parameters: Parameters) => Request): Method<Caller> =>
    method((parameters, caller) => ({
      outcome: writeOutcome(handleRequest(stations, caller, read(parameters))),
    }));
  return {
    idl: BROKER,
    methods: {
      SetMemlock: operation(readSetMemlock),
      MoveCgroup: operation(readMoveCgroup),
      SetScheduler: operation(readSetScheduler),
      Release: method((parameters, caller) => release(stations, caller, parameters)),
      Explain: method((parameters, caller) => explain(stations, caller, parameters)),
      Capabilities: method((_parameters, caller) => capabilities(stations, caller)),
      Ping: method(() => ({ version: BROKER_VERSION })),
    },
    precheck: checkVersion,
    toVarlinkError: (error) => toVarlinkError(error, logger),
  };
}

function checkVersion(parameters: Json): void {
  precheckVersion(BROKER.name, BROKER_VERSION, parameters);
}

function release(
  { scopes, cgroupFs, grants, audit }: Stations,
  caller: Caller,
  parameters: Parameters,
): Parameters {
  const scope = scopes.of(caller.peer.check());
  const target = resolveTarget(caller.peer, scope, readTarget(parameters['target']), cgroupFs);
  try {
    const { restored, gone, changedByAnother, failed } = grants.release(scope.path, target);
    const { pid } = target.process;
    audit.recordEvent('release', { scope: scope.path, pid, restored, gone, changedByAnother, failed });
    if (failed.length > 0) {
      throw new DeputyError(
        'UndoFailed',
        `${failed.length} changes of pid ${pid} could not be restored: ${failed.map(({ message }) => message).join('; ')}`,
        { restored, gone, changedByAnother, failed: failed.length },
      );
    }
    return { restored, gone, changedByAnother };
  } finally {
    closeTarget(target);
  }
}

function explain(stations: Stations, caller: Caller, parameters: Parameters): Parameters {
  const name = String(parameters['method']);
  const read = Object.hasOwn(READERS, name) ? READERS[name] : undefined;
  const signature = BROKER.methods.get(name);
  if (read === undefined || signature === undefined) {
    throw new DeputyError(
      'InvalidRequest',
      `${JSON.stringify(name)} can't be explained; these can: ${Object.keys(READERS).join(', ')}`,
      { parameter: 'method' },
    );
  }
  checkVersion(parameters['parameters'] as Json);
  const inner = validateStruct(BROKER, signature.input, parameters['parameters'] as Json, 'parameters');
  const { scope, decision, changes } = explainRequest(stations, caller, read(inner));
  const { verdict } = decision;
  return {
    verdict: verdict.tag,
    reason: verdict.tag === 'deny' ? verdict.reason : undefined,
    plugin: verdict.plugin,
    scope,
    steps: decision.steps.map(writeStep),
    changes: changes.map(describeChange),
  };
}

function capabilities(stations: Stations, caller: Caller): Parameters {
  let scope: string | undefined;
  try {
    scope = stations.scopes.of(caller.peer.check()).path;
  } catch (error) {
    if (!(error instanceof DeputyError && error.code === 'NoScope')) throw error;
  }
  const operations: Capability[] = capabilitiesOf(stations);
  return { version: BROKER_VERSION, scope, operations, groups: [...stations.groups.keys()] };
}

function toVarlinkError(error: unknown, logger: Logger): VarlinkError {
  const known = invalidParameter(error);
  if (known !== undefined) return known;
  if (error instanceof DeputyError) return wireError(error.code, error.message, error.detail);
  // A bug of ours. The client learns that, and nothing of our insides.
  logger.error({ err: error }, 'internal error');
  return wireError('Internal', 'a bug in deputy; see its log', {});
}

function wireError(code: string, message: string, detail: ErrorDetail): VarlinkError {
  return new VarlinkError(`io.deputy.Broker.${code}`, { message, detail });
}
