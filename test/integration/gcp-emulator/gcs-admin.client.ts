import type { ObjectVersion } from '#libs/domain';
import type { ClockControl, DamageControl } from '../../../libs/gcp-emulator/src/gcs/index.js';

/** The emulator rejected a request of the admin API. */
export class AdminError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Sends a request to an emulator's admin API, and returns the JSON of the answer, if any. */
export async function ask<T>(url: string, method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(`${url}/_emulator/${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new AdminError(response.status, text);
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const refOf = ({ bucket, key }: { bucket: string; key: string }) => ({ bucket, key });

/** Damage by the admin API instead of the emulator's object. */
export function damageOverHttp(url: string): DamageControl {
  const damage = <T = void>(kind: string, body: object) => ask<T>(url, 'POST', `damage/${kind}`, body);
  return {
    flipByte: (object, offset) => damage('flip-byte', { ...refOf(object), offset }),
    truncate: (object, sizeBytes) => damage('truncate', { ...refOf(object), sizeBytes }),
    drop: (object) => damage('drop', refOf(object)),
    replace: (object, bytes) => damage<ObjectVersion>('replace', { ...refOf(object), data: base64(bytes) }),
    setMetadata: (object, metadata) => damage('metadata', { ...refOf(object), metadata }),
    put: (object, bytes, options) =>
      damage<ObjectVersion>('put', { ...refOf(object), data: base64(bytes), ...options }),
  };
}

/** The clock's changes by the admin API. */
export const clockOverHttp = (url: string) => ({
  now: async () => new Date((await ask<{ now: string }>(url, 'GET', 'clock')).now),
  set: (date: Date) => ask<{ now: string }>(url, 'POST', 'clock', { now: date }),
  advance: (advanceMs: number) => ask<{ now: string }>(url, 'POST', 'clock', { advanceMs }),
  reset: () => ask<void>(url, 'DELETE', 'clock'),
});

/** A clock in the process or behind the admin API. */
export type AnyClock = { [Name in keyof ClockControl]: (...args: Parameters<ClockControl[Name]>) => unknown };
