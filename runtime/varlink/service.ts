/** Dispatch of calls to interfaces, and `org.varlink.service` itself (varlink.org, "Service"). */
import { type IdlInterface, parseIdl } from './idl.ts';
import type { Json } from './json.ts';
import { ParameterError, validateStruct } from './validate.ts';

/** An error as it stands on the wire. */
export class VarlinkError extends Error {
  override readonly name = 'VarlinkError';
  readonly error: string;
  readonly parameters: Readonly<Record<string, unknown>>;

  constructor(error: string, parameters: Readonly<Record<string, unknown>> = {}) {
    super(error);
    this.error = error;
    this.parameters = parameters;
  }
}

export type Parameters = Readonly<Record<string, unknown>>;

/** The replies to a call with `more`: each value but the last announces another, the returned one is the last. */
export type Stream = AsyncGenerator<Parameters, Parameters>;

/** Answers one call. `left` is aborted when the client has gone or the daemon stops: a stream then has to end. */
export type Method<Context> = (
  parameters: Parameters,
  context: Context,
  left: AbortSignal,
) => Parameters | Stream | Promise<Parameters>;

export interface VarlinkInterface<Context> {
  readonly idl: IdlInterface;
  readonly methods: Readonly<Record<string, Method<Context>>>;
  /** Those that only make sense with `more`. */
  readonly streaming?: ReadonlySet<string>;
  /** Looks at the parameters before anything else does: for a version that decides what the rest means. */
  precheck?(parameters: Json): void;
  /** Turns what a method threw into an error of this interface; anything else is a bug and closes the connection. */
  toVarlinkError(error: unknown): VarlinkError | undefined;
}

export interface ServiceInfo {
  readonly vendor: string;
  readonly product: string;
  readonly version: string;
  readonly url: string;
}

export interface Call {
  readonly method: string;
  readonly parameters: Json;
  readonly more: boolean;
  readonly oneway: boolean;
}

const SERVICE = parseIdl(`# The Varlink Service Interface is provided by every varlink service.
interface org.varlink.service

# Get a list of all the interfaces a service provides and information about the implementation.
method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

# Get the description of an interface that is implemented by this service.
method GetInterfaceDescription(interface: string) -> (description: string)

# The requested interface was not found.
error InterfaceNotFound (interface: string)

# The requested method was not found
error MethodNotFound (method: string)

# The interface defines the requested method, but the service does not implement it.
error MethodNotImplemented (method: string)

# One of the passed parameters is invalid.
error InvalidParameter (parameter: string)

# Client is denied access
error PermissionDenied ()

# Method is expected to be called with 'more' set to true, but wasn't
error ExpectedMore ()
`);

export class VarlinkService<Context> {
  readonly #interfaces = new Map<string, VarlinkInterface<Context>>();

  constructor(info: ServiceInfo, interfaces: readonly VarlinkInterface<Context>[]) {
    const all: VarlinkInterface<Context>[] = [this.#service(info), ...interfaces];
    for (const one of all) this.#interfaces.set(one.idl.name, one);
  }

  /** Throws a VarlinkError where the call is to be answered by one. */
  async call(call: Call, context: Context, left: AbortSignal): Promise<Parameters | Stream> {
    const dot = call.method.lastIndexOf('.');
    const [interfaceName, methodName] = [call.method.slice(0, dot), call.method.slice(dot + 1)];
    const target = dot > 0 ? this.#interfaces.get(interfaceName) : undefined;
    if (target === undefined) {
      throw new VarlinkError('org.varlink.service.InterfaceNotFound', {
        interface: dot > 0 ? interfaceName : call.method,
      });
    }
    const signature = target.idl.methods.get(methodName);
    if (signature === undefined)
      throw new VarlinkError('org.varlink.service.MethodNotFound', { method: call.method });
    const method = target.methods[methodName];
    if (method === undefined) {
      throw new VarlinkError('org.varlink.service.MethodNotImplemented', { method: call.method });
    }
    if (target.streaming?.has(methodName) && !call.more)
      throw new VarlinkError('org.varlink.service.ExpectedMore');
    try {
      target.precheck?.(call.parameters);
      const parameters = validateStruct(target.idl, signature.input, call.parameters, '');
      const answer = await method(parameters, context, left);
      return Symbol.asyncIterator in answer ? translated(answer as Stream, target) : answer;
    } catch (error) {
      throw target.toVarlinkError(error) ?? error;
    }
  }

  #service(info: ServiceInfo): VarlinkInterface<Context> {
    return {
      idl: SERVICE,
      methods: {
        GetInfo: () => ({ ...info, interfaces: [...this.#interfaces.keys()] }),
        GetInterfaceDescription: ({ interface: name }) => {
          const found = this.#interfaces.get(String(name));
          if (found === undefined)
            throw new VarlinkError('org.varlink.service.InterfaceNotFound', { interface: name });
          return { description: found.idl.text };
        },
      },
      toVarlinkError: invalidParameter,
    };
  }
}

/** An error may come after the first replies too. */
async function* translated<Context>(stream: Stream, target: VarlinkInterface<Context>): Stream {
  try {
    return yield* stream;
  } catch (error) {
    throw target.toVarlinkError(error) ?? error;
  }
}

/** What every interface answers to a parameter that its definition doesn't allow. */
export function invalidParameter(error: unknown): VarlinkError | undefined {
  if (error instanceof VarlinkError) return error;
  if (!(error instanceof ParameterError)) return undefined;
  return new VarlinkError('org.varlink.service.InvalidParameter', {
    parameter: error.path,
    message: error.message,
  });
}
