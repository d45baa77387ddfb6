import { createHash } from 'node:crypto';
import { type Grant, type GrantInput, parseGrants } from '#libs/access';
import {
  invalid,
  type MetadataEntry,
  parseCrc32c,
  parseFilename,
  parseIdempotencyKey,
  parseMediaType,
  parseMetadata,
  parseSha256,
} from '#libs/domain';

/** A request for an upload as the client sent it. */
export interface UploadRequest {
  readonly filename: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly checksumSha256: string;
  readonly crc32c?: string | null;
  readonly method?: 'PUT' | 'RESUMABLE' | null;
  readonly metadata?: readonly MetadataEntry[] | null;
  readonly acl?: readonly GrantInput[] | null;
  readonly idempotencyKey?: string | null;
  /** The asset whose bytes the upload replaces, and its stored object, which it must still have then. */
  readonly replaces?: { readonly assetId: string; readonly objectId: bigint };
}

/** A validated {@link UploadRequest} in canonical form. */
export interface ParsedUploadRequest {
  readonly filename: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly checksumSha256: string;
  readonly crc32c: string | null;
  readonly method: 'PUT' | 'RESUMABLE';
  readonly metadata: readonly MetadataEntry[];
  readonly acl: readonly Grant[];
  readonly idempotencyKey: string | null;
  readonly replaces: UploadRequest['replaces'];
  /** Hash that is equal for equal requests, in any order of metadata and grants; null without an idempotency key. */
  readonly fingerprint: string | null;
}

const at = (...path: string[]) => ['input', ...path];

const byText = (a: unknown, b: unknown) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** Validates a request. @throws StowageError invalid, with the path of the invalid input */
export function parseUploadRequest(request: UploadRequest, maxUploadBytes: number): ParsedUploadRequest {
  const { sizeBytes } = request;
  if (sizeBytes > maxUploadBytes) {
    throw invalid('SIZE_TOO_LARGE', `A file may have at most ${maxUploadBytes} bytes.`, at('sizeBytes'));
  }
  const idempotencyKey = parseIdempotencyKey(request.idempotencyKey ?? null, at('idempotencyKey'));
  const mimeType = parseMediaType(request.mimeType, at('mimeType'));
  const parsed = {
    filename: parseFilename(request.filename, at('filename')),
    mimeType,
    sizeBytes,
    checksumSha256: parseSha256(request.checksumSha256, at('checksumSha256')),
    crc32c: request.crc32c == null ? null : parseCrc32c(request.crc32c, at('crc32c')),
    method: request.method ?? 'PUT',
    metadata: parseMetadata(request.metadata ?? [], at('metadata')),
    acl: parseGrants(request.acl ?? [], at('acl')),
  };
  const canonical = {
    ...parsed,
    // Undefined is left out, so that other requests keep their hashes.
    replaces: request.replaces?.assetId,
    metadata: parsed.metadata.toSorted(byText),
    acl: parsed.acl.toSorted(byText),
  };
  const fingerprint =
    idempotencyKey === null ? null : createHash('sha256').update(JSON.stringify(canonical)).digest('hex');
  return { ...parsed, idempotencyKey, replaces: request.replaces, fingerprint };
}
