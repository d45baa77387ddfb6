import { invalidArgument } from './errors.js';

const PROJECT = /^projects\/[A-Za-z0-9][A-Za-z0-9._:-]*$/;
const RESOURCE =
  /^projects\/[A-Za-z0-9][A-Za-z0-9._:-]*\/(topics|subscriptions)\/(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}$/;

/** The value of a subscription's `topic` after its topic was deleted. */
export const DELETED_TOPIC = '_deleted-topic_';

/**
 * Returns a full resource name that follows the rules of
 * https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names.
 * @throws {RpcError} INVALID_ARGUMENT
 */
export function checkName(
  kind: 'topics' | 'subscriptions',
  name: string | null | undefined,
  field: string = kind === 'topics' ? 'topic' : 'subscription',
): string {
  if (name && RESOURCE.exec(name)?.[1] === kind) return name;
  throw invalidArgument(
    `Invalid resource name given (${field}=${name ?? ''}). Refer to https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names for more information.`,
  );
}

/**
 * Returns a well-formed project name, `projects/P`.
 * @throws {RpcError} INVALID_ARGUMENT
 */
export function checkProject(name: string | null | undefined): string {
  if (name && PROJECT.test(name)) return name;
  throw invalidArgument(`Invalid resource name given (project=${name ?? ''}).`);
}

interface PageRequest {
  readonly pageSize?: number | null;
  readonly pageToken?: string | null;
}

const MAX_PAGE = 1000;
const DEFAULT_PAGE = 100;

/**
 * Returns one page of a list, ordered by name. The token is the last name of the previous page (a keyset), so pages
 * stay correct when resources are created or deleted between two requests.
 */
export function pageOf<T extends { readonly name: string }>(
  all: Iterable<T>,
  { pageSize, pageToken }: PageRequest,
): { items: T[]; nextPageToken: string } {
  const size = Math.min(pageSize || DEFAULT_PAGE, MAX_PAGE);
  if (size < 0)
    throw invalidArgument(`The value for page_size is too small. You passed ${size} in the request.`);
  const after = Buffer.from(pageToken ?? '', 'base64url').toString();
  const rest = [...all].filter(({ name }) => name > after).sort((a, b) => (a.name < b.name ? -1 : 1));
  const items = rest.slice(0, size);
  const last = rest.length > size ? items.at(-1) : undefined;
  return { items, nextPageToken: Buffer.from(last?.name ?? '').toString('base64url') };
}
