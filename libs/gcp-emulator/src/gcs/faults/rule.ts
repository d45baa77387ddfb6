import { ApiError } from '../http/errors.js';
import { checkFields, isCount, isOneOf, isRecord, isText, optional, type Fields } from '../http/fields.js';

/** Direction of the bytes: to the emulator (`request`) or from it (`response`). */
export type Direction = 'request' | 'response';

/** The fault that a rule applies to a request. */
export type RequestFault =
  /** Reject the request with an error of its API. `retryAfter` in seconds. */
  | { status: 429 | 500 | 503; retryAfter?: number }
  /** Cut the connection after that many bytes of the body. A response cut at 0 is never sent at all. */
  | { cutAfterBytes: number; direction: Direction }
  /** Throttle the body. */
  | { bytesPerSecond: number; direction: Direction }
  /** Delay the request in milliseconds, before any other handling; ends early when faults are released. */
  | { delayMs: number };

/**
 * The fault that a rule applies to an event: `lose` never publishes it; `double` publishes it twice; `delay` publishes
 * it after `delayMs`, or when faults are released; `reorder` publishes it after a later event of its topic, or when
 * faults are released.
 */
export type EventFault = { events: 'lose' | 'double' | 'reorder' } | { events: 'delay'; delayMs?: number };

/** A fault, and the requests or events to which it applies. */
export interface FaultRule {
  /** Generated when missing. A rule replaces an existing one with this id. */
  id?: string;
  /** All given fields must match. An event is matched by the bucket and key of its object; it has no method or API. */
  match?: { method?: string; bucket?: string; keyPrefix?: string; api?: 'xml' | 'json' };
  /** How many times the rule applies. Default: every time. */
  times?: number;
  /** 0 to 1, default 1. The sequence of decisions depends only on `seed`. */
  probability?: number;
  seed?: number;
  action: RequestFault | EventFault;
}

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

/** The fields of each kind of action, by the field that identifies it. The first entry whose key is present decides. */
const ACTIONS: Record<string, Fields> = {
  status: { status: isOneOf(429, 500, 503), retryAfter: optional(isCount) },
  cutAfterBytes: { cutAfterBytes: isCount, direction: isDirection },
  bytesPerSecond: { bytesPerSecond: (value) => isCount(value) && Number(value) > 0, direction: isDirection },
  events: { events: isOneOf('lose', 'double', 'delay', 'reorder'), delayMs: optional(isCount) },
  delayMs: { delayMs: isCount },
};

/**
 * Validates a rule that a client sent.
 * @throws {ApiError} invalid, with a message that names the wrong field
 */
export function parseRule(value: Record<string, unknown>): FaultRule {
  checkFields('', value, RULE);
  const { match = {}, action } = value as {
    match?: Record<string, unknown>;
    action: Record<string, unknown>;
  };
  checkFields('match.', match, MATCH);
  const kind = Object.keys(ACTIONS).find((field) => field in action);
  const fields = kind === undefined ? undefined : ACTIONS[kind];
  if (fields === undefined) throw new ApiError('invalid', { message: 'Invalid value for action.' });
  checkFields('action.', action, fields);
  return value as unknown as FaultRule;
}
