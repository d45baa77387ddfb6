import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { protos } from '@google-cloud/pubsub';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';

/**
 * Loads the service definitions that ship with the official client, so that client and server use one description
 * (https://github.com/googleapis/googleapis/blob/master/google/pubsub/v1/pubsub.proto). Unset scalars become their
 * default, unset messages null, and 64-bit integers numbers.
 */
export function loadServices(): { publisher: ServiceDefinition; subscriber: ServiceDefinition } {
  const file = createRequire(import.meta.url).resolve('@google-cloud/pubsub/build/protos/protos.json');
  const json = JSON.parse(readFileSync(file, 'utf8')) as Parameters<typeof fromJSON>[0];
  const definitions = fromJSON(json, { defaults: true, longs: Number, enums: String });
  return {
    publisher: definitions['google.pubsub.v1.Publisher'] as ServiceDefinition,
    subscriber: definitions['google.pubsub.v1.Subscriber'] as ServiceDefinition,
  };
}

type Duration = protos.google.protobuf.IDuration;
type Timestamp = protos.google.protobuf.ITimestamp;

export const durationToMs = ({ seconds, nanos }: Duration): number =>
  Number(seconds ?? 0) * 1000 + (nanos ?? 0) / 1e6;

export const msToDuration = (ms: number): Duration => ({
  seconds: Math.floor(ms / 1000),
  nanos: Math.round((ms % 1000) * 1e6),
});

export const msToTimestamp: (ms: number) => Timestamp = msToDuration;

/** The paths of a field mask in snake_case, as the service spells them; some clients send camelCase. */
export const maskPaths = (mask: protos.google.protobuf.IFieldMask | null | undefined): string[] =>
  (mask?.paths ?? []).map((path) => path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
