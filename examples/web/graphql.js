import { TryAgain } from './retry.js';

const TIMEOUT_MS = 30_000;
const RETRIED_CODES = new Set(['RATE_LIMITED', 'UNAVAILABLE']);

/** An error that a retry would meet again. `code` and `reason` come from the `extensions` of the answer. */
export class ApiError extends Error {
  constructor(message, { code, reason } = {}) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

/** Runs an operation of the API and returns its data. `token({ fresh })` returns the user's token. */
export async function callApi({ url, token }, query, variables, signal) {
  try {
    return await callOnce(url, await token({ fresh: false }), query, variables, signal);
  } catch (error) {
    if (error.code !== 'UNAUTHENTICATED') throw error;
    return callOnce(url, await token({ fresh: true }), query, variables, signal);
  }
}

async function callOnce(url, token, query, variables, signal) {
  let response, answer;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    answer = await response.text();
  } catch {
    signal.throwIfAborted();
    throw new TryAgain('The API cannot be reached');
  }
  const { data, errors } = parse(answer);
  const { message = `The API answered with HTTP ${response.status}`, extensions = {} } = errors?.[0] ?? {};
  if (RETRIED_CODES.has(extensions.code)) throw new TryAgain(message, extensions.retryAfterSeconds);
  if (errors) throw new ApiError(message, extensions);
  if (data) return data;
  // A proxy between this page and the API has answered.
  if (response.status === 429 || response.status >= 500) {
    throw new TryAgain(message, Number(response.headers.get('retry-after')) || 0);
  }
  throw new ApiError(message);
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
