import { status } from '@grpc/grpc-js';
import type { handleUnaryCall, ServerUnaryCall } from '@grpc/grpc-js';
import { RpcError } from '../errors.js';

/** What a caller is told: a refusal as it is; anything else is a bug here, reported and hidden. */
export function toRpcError(error: unknown, onError: (error: unknown) => void): RpcError {
  if (error instanceof RpcError) return error;
  onError(error);
  return new RpcError(status.INTERNAL, 'The Pub/Sub emulator failed.');
}

/** Makes a gRPC handler of a function that answers or throws. */
export const unary =
  <Request, Response>(
    onError: (error: unknown) => void,
    answer: (request: Request, call: ServerUnaryCall<Request, Response>) => Response | Promise<Response>,
  ): handleUnaryCall<Request, Response> =>
  (call, callback) => {
    const run = async () => answer(call.request, call);
    run().then(
      (response) => callback(null, response),
      (error: unknown) => callback(toRpcError(error, onError)),
    );
  };
