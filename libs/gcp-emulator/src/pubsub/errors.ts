import { status } from '@grpc/grpc-js';

/** A refusal that the caller sees: a gRPC status and a sentence in the service's own wording. */
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

/** For what the real service does and this emulator does not: it refuses rather than pretends. */
export const unimplemented = (feature: string) =>
  new RpcError(status.UNIMPLEMENTED, `The Pub/Sub emulator does not implement ${feature}.`);

/** The status on which the official clients reconnect by themselves. */
export const shuttingDown = () => new RpcError(status.UNAVAILABLE, 'The Pub/Sub emulator is shutting down.');

/** @throws {RpcError} INVALID_ARGUMENT when `value` is outside `minimum`..`maximum`, both allowed. */
export function checkRange(field: string, value: number, minimum: number, maximum: number): void {
  const [adjective, limit] = value > maximum ? ['large', maximum] : ['small', minimum];
  if (value >= minimum && value <= maximum) return;
  const bound = adjective === 'large' ? 'maximum' : 'minimum';
  throw invalidArgument(
    `The value for ${field} is too ${adjective}. You passed ${value} in the request, but the ${bound} value is ${limit}.`,
  );
}
