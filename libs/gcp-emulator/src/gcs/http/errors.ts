/**
 * All errors that the emulator returns, in the terms of both APIs: `reason` is the JSON API's, `code` the XML API's.
 * https://docs.cloud.google.com/storage/docs/json_api/v1/status-codes
 * https://docs.cloud.google.com/storage/docs/xml-api/reference-status
 */
const KINDS = {
  notModified: [304, 'notModified', 'NotModified', ''],
  invalid: [400, 'invalid', 'InvalidArgument', 'Invalid argument.'],
  required: [400, 'required', 'InvalidArgument', 'Required parameter is missing.'],
  parseError: [400, 'parseError', 'InvalidArgument', 'Parse Error'],
  invalidUri: [400, 'invalid', 'InvalidURI', 'Could not parse the specified URI.'],
  invalidName: [400, 'invalid', 'InvalidObjectName', 'The specified object name is not valid.'],
  invalidBucketName: [400, 'invalid', 'InvalidBucketName', 'The specified bucket is not valid.'],
  malformedSecurityHeader: [
    400,
    'invalid',
    'MalformedSecurityHeader',
    'Your request has a malformed header.',
  ],
  excessHeaders: [400, 'invalid', 'ExcessHeaderValues', 'Multiple conflicting headers are present.'],
  expiredToken: [400, 'invalid', 'ExpiredToken', 'Invalid argument.'],
  badDigest: [400, 'invalid', 'BadDigest', 'The MD5 you specified did not match what we received.'],
  crcMismatch: [400, 'invalid', 'CrcMismatch', 'The CRC32C you specified did not match what we received.'],
  tooLarge: [
    400,
    'uploadTooLarge',
    'EntityTooLarge',
    'Your proposed upload is larger than the maximum object size specified in your request.',
  ],
  tooSmall: [
    400,
    'uploadTooSmall',
    'EntityTooSmall',
    'Your proposed upload is smaller than the minimum object size specified in your request.',
  ],
  incompleteBody: [400, 'invalid', 'IncompleteBody', 'The request body ended before its end marker.'],
  accessDenied: [403, 'forbidden', 'AccessDenied', 'Access denied.'],
  invalidSecurity: [403, 'forbidden', 'InvalidSecurity', 'The provided security credentials are not valid.'],
  signatureMismatch: [403, 'forbidden', 'SignatureDoesNotMatch', 'Access denied.'],
  held: [403, 'retentionPolicyNotMet', 'ObjectUnderActiveHold', 'Object is under active hold.'],
  notFound: [404, 'notFound', 'NoSuchKey', 'Not Found'],
  noSuchBucket: [404, 'notFound', 'NoSuchBucket', 'The specified bucket does not exist.'],
  noSuchObject: [404, 'notFound', 'NoSuchKey', 'The specified key does not exist.'],
  noSuchUpload: [404, 'notFound', 'NoSuchUpload', 'The requested upload was not found.'],
  methodNotAllowed: [
    405,
    'methodNotAllowed',
    'MethodNotAllowed',
    'The specified method is not allowed against this resource.',
  ],
  bucketExists: [
    409,
    'conflict',
    'BucketAlreadyOwnedByYou',
    'Your previous request to create the named bucket succeeded and you already own it.',
  ],
  bucketNotEmpty: [409, 'conflict', 'BucketNotEmpty', 'The bucket you tried to delete is not empty.'],
  superseded: [409, 'conflict', 'OperationAborted', 'A later request for this upload superseded this one.'],
  uploadGone: [410, 'gone', 'NoSuchUpload', 'The upload session has ended. Start a new one.'],
  lengthRequired: [
    411,
    'required',
    'MissingContentLength',
    'You must provide the Content-Length HTTP header.',
  ],
  preconditionFailed: [
    412,
    'conditionNotMet',
    'PreconditionFailed',
    'At least one of the pre-conditions you specified did not hold.',
  ],
  bodyTooLarge: [413, 'uploadTooLarge', 'EntityTooLarge', 'The request is too large.'],
  rangeNotSatisfiable: [
    416,
    'requestedRangeNotSatisfiable',
    'InvalidRange',
    'The requested range cannot be satisfied.',
  ],
  rateLimited: [
    429,
    'rateLimitExceeded',
    'SlowDown',
    'The object exceeded the rate limit for object mutation operations. Please reduce your request rate.',
  ],
  cancelled: [499, 'clientClosedRequest', 'ClientClosedRequest', 'The upload was cancelled.'],
  internal: [500, 'backendError', 'InternalError', 'We encountered an internal error. Please try again.'],
  notImplemented: [
    501,
    'notImplemented',
    'NotImplemented',
    'A header or parameter you provided implies functionality that is not implemented.',
  ],
  unavailable: [
    503,
    'backendError',
    'ServiceUnavailable',
    'We encountered an internal error. Please try again.',
  ],
} as const;

export type ErrorKind = keyof typeof KINDS;

/** Details of one error beyond its kind. `elements` become additional elements of an XML error. */
export interface ErrorDetail {
  message?: string;
  details?: string;
  elements?: Record<string, string>;
  headers?: Record<string, string>;
}

/** An error response, which either API can render. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;
  readonly code: string;

  constructor(
    readonly kind: ErrorKind,
    readonly detail: ErrorDetail = {},
  ) {
    const [status, reason, code, message] = KINDS[kind];
    super(detail.message ?? message);
    this.status = status;
    this.reason = reason;
    this.code = code;
  }
}

/** The client disconnected during its request, so no response can be sent. */
export class ClientGone extends Error {}

/** Converts an error to a response; undefined for an unexpected one, that is, a bug or a broken disk. */
export function asApiError(error: unknown): ApiError | undefined {
  if (error instanceof ApiError) return error;
  const { code, errcode } = error as { code?: string; errcode?: number };
  const SQLITE_FULL = 13;
  if (code === 'ENOSPC' || code === 'EDQUOT' || errcode === SQLITE_FULL) return new ApiError('unavailable');
  return undefined;
}

/** Renders an error as the JSON API does. */
export function jsonError(error: ApiError): string {
  const { status: code, message, reason } = error;
  return JSON.stringify({ error: { code, message, errors: [{ message, domain: 'global', reason }] } });
}

const XML_ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Renders an error as the XML API does. */
export function xmlError({ code, message, detail }: ApiError): string {
  const elements = { Code: code, Message: message, ...detail.elements };
  const all = detail.details === undefined ? elements : { ...elements, Details: detail.details };
  const body = Object.entries(all)
    .map(([name, value]) => `<${name}>${value.replace(/[&<>"]/g, (c) => XML_ENTITIES[c] ?? c)}</${name}>`)
    .join('');
  return `<?xml version='1.0' encoding='UTF-8'?><Error>${body}</Error>`;
}
