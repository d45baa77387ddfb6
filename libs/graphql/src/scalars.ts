import { GraphQLScalarType, Kind } from 'graphql';
import { invalid, parseLocalDateTime, parseSha256 } from '#libs/domain';

const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * Parses whole numbers from 0 to 2^53-1, given as an integer or as decimal digits.
 * @throws StowageError NUMBER_INVALID
 */
const wholeNumber =
  (name: string) =>
  (value: unknown): number => {
    const text = typeof value === 'number' || typeof value === 'bigint' ? String(value) : value;
    if (typeof text === 'string' && /^(0|[1-9][0-9]{0,15})$/.test(text) && BigInt(text) <= SAFE)
      return Number(text);
    throw invalid(
      'NUMBER_INVALID',
      `${name} must be a whole number from 0 to ${SAFE}, as a number or as decimal digits.`,
    );
  };

function scalar<T>(
  name: string,
  description: string,
  parse: (value: unknown) => T,
  serialize: (value: unknown) => unknown = String,
) {
  return new GraphQLScalarType<T, unknown>({
    name,
    description,
    parseValue: parse,
    parseLiteral: (node) => parse(node.kind === Kind.INT || node.kind === Kind.STRING ? node.value : null),
    serialize,
  });
}

/** The range of RFC 3339 in UTC without the year 0, which PostgreSQL does not have. */
const FIRST_INSTANT = Date.parse('0001-01-01T00:00:00Z');
const LAST_INSTANT = Date.parse('9999-12-31T23:59:59.999Z');
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;

function parseInstant(value: unknown): Date {
  const instant = typeof value === 'string' && RFC3339.test(value) ? Date.parse(value) : NaN;
  // The negated range check also catches NaN. An offset can move a valid text out of the range.
  if (!(instant >= FIRST_INSTANT && instant <= LAST_INSTANT)) {
    const message =
      'A DateTime must be an RFC 3339 instant such as 2026-01-31T12:00:00Z, in the years 0001 to 9999 UTC.';
    throw invalid('DATE_TIME_INVALID', message);
  }
  return new Date(instant);
}

function parseLocal(value: unknown): string {
  const local = parseLocalDateTime(value);
  if (local !== null) return local;
  const message =
    'A LocalDateTime must be a date and time without a time zone such as 2026-01-31T12:00:00, in the years 1800 to 2100.';
  throw invalid('LOCAL_DATE_TIME_INVALID', message);
}

function parseUrl(value: unknown): string {
  if (typeof value === 'string' && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol))
    return value;
  throw invalid('URL_INVALID', 'A URL must be an absolute http or https URL.');
}

export const DateTime = scalar('DateTime', 'RFC 3339 instant in UTC.', parseInstant, (value) =>
  (value as Date).toISOString(),
);
export const LocalDateTime = scalar(
  'LocalDateTime',
  'Local date and time without a time zone: 2026-01-31T12:00:00.',
  parseLocal,
);
export const ByteSize = scalar(
  'ByteSize',
  'Number of bytes, 0 to 2^53-1. Accepts a safe integer or a decimal string; returned as a number.',
  wholeNumber('ByteSize'),
  wholeNumber('ByteSize'),
);
export const Long = scalar(
  'Long',
  'Whole number, 0 to 2^53-1, for counts that outgrow Int.',
  wholeNumber('Long'),
  wholeNumber('Long'),
);
export const Sha256 = scalar(
  'Sha256',
  'SHA-256 digest, 64 hexadecimal characters; accepted in either case, returned in lower case.',
  (value) => parseSha256(typeof value === 'string' ? value : ''),
);
export const Url = scalar('URL', 'Absolute http or https URL.', parseUrl);
