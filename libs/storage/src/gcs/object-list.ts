import type { FileMetadata, Storage } from '@google-cloud/storage';
import type { ListRange, ObjectStat } from '../object-store.js';
import { FIELDS, statOf } from './object-resource.js';
import { NoAnswerError } from './storage-error.js';

/** Objects of one call at most: https://docs.cloud.google.com/storage/docs/json_api/v1/objects/list */
const MAX_LISTED = 1_000;

/** Answer of one call. */
interface ListAnswer {
  readonly kind?: string;
  readonly items?: readonly FileMetadata[];
  readonly nextPageToken?: string;
}

/** Runs one call with its time limit and retries. */
type Run = (attempt: (storage: Storage) => Promise<ListAnswer>) => Promise<ListAnswer>;

const isAfter = (key: string, other: string) => Buffer.compare(Buffer.from(key), Buffer.from(other)) > 0;

/**
 * Reads `limit` objects of a bucket by as many calls as it takes: an answer may be short, or even empty, although more
 * objects follow.
 * @throws {NoAnswerError} if the answers are not a list in order. A caller that compares the list with its own records
 * would otherwise take stored objects for lost ones.
 */
export async function listObjects(run: Run, range: ListRange, limit: number): Promise<ObjectStat[]> {
  const { prefix = '', after = '' } = range;
  const found: ObjectStat[] = [];
  let pageToken: string | undefined;
  do {
    const token = pageToken;
    const answer = await run((storage) => listCall(storage, range, limit - found.length, token));
    for (const item of answer.items ?? []) {
      const stat = statOf(item);
      // The offset is inclusive in Google's API.
      if (stat.key === after) continue;
      if (!stat.key.startsWith(prefix) || !isAfter(stat.key, found.at(-1)?.key ?? after)) {
        throw new NoAnswerError('Storage answered with objects out of order');
      }
      found.push(stat);
    }
    if (found.length >= limit) return found.slice(0, limit);
    pageToken = answer.nextPageToken || undefined;
    if (pageToken !== undefined && pageToken === token) {
      throw new NoAnswerError('Storage answered with the page token of the request');
    }
  } while (pageToken !== undefined);
  return found;
}

async function listCall(
  storage: Storage,
  { bucket, prefix, after }: ListRange,
  limit: number,
  pageToken: string | undefined,
): Promise<ListAnswer> {
  const [answer] = await storage.bucket(bucket).request({
    method: 'GET',
    uri: '/o',
    qs: {
      fields: `kind,nextPageToken,items(${FIELDS})`,
      maxResults: Math.min(limit + 1, MAX_LISTED),
      ...(prefix !== undefined && { prefix }),
      ...(after !== undefined && { startOffset: after }),
      ...(pageToken !== undefined && { pageToken }),
    },
  });
  const listed = (answer ?? {}) as ListAnswer;
  if (listed.kind !== 'storage#objects')
    throw new NoAnswerError('Storage answered with something other than a list');
  return listed;
}
