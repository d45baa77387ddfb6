import { status } from '@grpc/grpc-js';

/** An error that the caller receives: a gRPC status and a message in the service's own wording. */
export class RpcError extends Error {
  constructor(
    readonly code: status,
    readonly details: string,
  ) {
    super(details);
  }
}

const lastSegment = (name: string) => name.slice(name.lastIndexOf('/') + 1);

export const notFound = (name: string) =>
  new RpcError(status.NOT_FOUND, `Resource not found (resource=${lastSegment(name)}).`);

export const alreadyExists = (name: string) =>
  new RpcError(
    status.ALREADY_EXISTS,
    `Resource already exists in the project (resource=${lastSegment(name)}).`,
  );

export const invalidArgument = (details: string) => new RpcError(status.INVALID_ARGUMENT, details);

/** For features of the real service that the emulator lacks: rejecting them is safer than ignoring them. */
export const unimplemented = (feature: string) =>
  new RpcError(status.UNIMPLEMENTED, `The Pub/Sub emulator does not implement ${feature}.`);

/** UNAVAILABLE, the status on which the official clients reconnect. */
export const shuttingDown = () => new RpcError(status.UNAVAILABLE, 'The Pub/Sub emulator is shutting down.');

/** @throws {RpcError} INVALID_ARGUMENT when `value` is outside `minimum`..`maximum`, both inclusive */
export function checkRange(field: string, value: number, minimum: number, maximum: number): void {
  const [adjective, limit] = value > maximum ? ['large', maximum] : ['small', minimum];
  if (value >= minimum && value <= maximum) return;
  const bound = adjective === 'large' ? 'maximum' : 'minimum';
  throw invalidArgument(
    `The value for ${field} is too ${adjective}. You passed ${value} in the request, but the ${bound} value is ${limit}.`,
  );
}
