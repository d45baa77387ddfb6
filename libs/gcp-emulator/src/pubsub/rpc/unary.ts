import { status } from '@grpc/grpc-js';
import type { handleUnaryCall, ServerUnaryCall } from '@grpc/grpc-js';
import { RpcError } from '../errors.js';

/** Converts an error for the caller. An unexpected error is a bug: it is reported to `onError` and sent as INTERNAL. */
export function toRpcError(error: unknown, onError: (error: unknown) => void): RpcError {
  if (error instanceof RpcError) return error;
  onError(error);
  return new RpcError(status.INTERNAL, 'The Pub/Sub emulator failed.');
}

/** Adapts a function that returns or throws to a gRPC handler. */
export const unary =
  <Request, Response>(
    onError: (error: unknown) => void,
    handle: (request: Request, call: ServerUnaryCall<Request, Response>) => Response | Promise<Response>,
  ): handleUnaryCall<Request, Response> =>
  (call, callback) => {
    const run = async () => handle(call.request, call);
    run().then(
      (response) => callback(null, response),
      (error: unknown) => callback(toRpcError(error, onError)),
    );
  };
