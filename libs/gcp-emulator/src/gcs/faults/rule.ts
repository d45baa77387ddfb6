import { ApiError } from '../http/errors.js';

/** Which way the bytes go: to the emulator, or from it. */
export type Direction = 'request' | 'response';

/** What becomes of a request. */
export type RequestFault =
  /** Refused, in the words of its API. `retryAfter` in seconds. */
  | { status: 429 | 500 | 503; retryAfter?: number }
  /** The connection is cut when that many bytes of the body have gone; a response cut at 0 is one that never came. */
  | { cutAfterBytes: number; direction: Direction }
  | { bytesPerSecond: number; direction: Direction }
  /** Before anything else is done; ends early when faults are released. */
  | { delayMs: number };

/**
 * What becomes of an event: never published; published twice; published later (after `delayMs`, or when faults are released);
 * published only after a later event of the same topic was (or when faults are released).
 */
export type EventFault = { events: 'lose' | 'double' | 'reorder' } | { events: 'delay'; delayMs?: number };

/** Something that is to go wrong, and when. */
export interface FaultRule {
  /** Given when there is none. A rule replaces the one with the same id. */
  id?: string;
  /** All that is named must hold. Of an event, `bucket` and `keyPrefix` are the object's; it has no method or API. */
  match?: { method?: string; bucket?: string; keyPrefix?: string; api?: 'xml' | 'json' };
  /** How often; without it, always. */
  times?: number;
  /** 0 to 1; by a sequence that is the same for the same `seed`. */
  probability?: number;
  seed?: number;
  action: RequestFault | EventFault;
}

type Fields = Record<string, (value: unknown) => boolean>;

const isText = (value: unknown) => typeof value === 'string';
const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;
const isOneOf =
  (...values: unknown[]) =>
  (value: unknown) =>
    values.includes(value);
const optional = (check: (value: unknown) => boolean) => (value: unknown) =>
  value === undefined || check(value);
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const RULE: Fields = {
  id: optional(isText),
  match: optional(isRecord),
  times: optional(isCount),
  probability: optional((value) => typeof value === 'number' && value >= 0 && value <= 1),
  seed: optional(isCount),
  action: isRecord,
};

const MATCH: Fields = {
  method: optional(isText),
  bucket: optional(isText),
  keyPrefix: optional(isText),
  api: optional(isOneOf('xml', 'json')),
};

const isDirection = isOneOf('request', 'response');

/** The kinds of action, by the field that only one of them has; the first that is there decides. */
const ACTIONS: Record<string, Fields> = {
  status: { status: isOneOf(429, 500, 503), retryAfter: optional(isCount) },
  cutAfterBytes: { cutAfterBytes: isCount, direction: isDirection },
  bytesPerSecond: { bytesPerSecond: (value) => isCount(value) && Number(value) > 0, direction: isDirection },
  events: { events: isOneOf('lose', 'double', 'delay', 'reorder'), delayMs: optional(isCount) },
  delayMs: { delayMs: isCount },
};

function check(where: string, value: Record<string, unknown>, fields: Fields): void {
  for (const field of Object.keys(value)) {
    if (!(field in fields)) throw new ApiError('invalid', { message: `Unknown field ${where}${field}.` });
  }
  for (const [field, isValid] of Object.entries(fields)) {
    if (!isValid(value[field]))
      throw new ApiError('invalid', { message: `Invalid value for ${where}${field}.` });
  }
}

/** Reads a rule that came from outside; throws a refusal that names the field at fault. */
export function parseRule(value: Record<string, unknown>): FaultRule {
  check('', value, RULE);
  const { match = {}, action } = value as {
    match?: Record<string, unknown>;
    action: Record<string, unknown>;
  };
  check('match.', match, MATCH);
  const kind = Object.keys(ACTIONS).find((field) => field in action);
  const fields = kind === undefined ? undefined : ACTIONS[kind];
  if (fields === undefined) throw new ApiError('invalid', { message: 'Invalid value for action.' });
  check('action.', action, fields);
  return value as unknown as FaultRule;
}
