import { createHash } from 'node:crypto';
import {
  invalid,
  isAllowedType,
  type MetadataEntry,
  parseCrc32c,
  parseFilename,
  parseGrant,
  parseMediaType,
  parseMetadata,
  OCTET_STREAM,
  parseSha256,
  type Permission,
} from '#libs/domain';

/** What a client says of the file that it wants to send, as it said it. */
export interface UploadRequest {
  readonly filename: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly checksumSha256: string;
  readonly crc32c?: string | null;
  readonly method?: 'PUT' | 'RESUMABLE' | null;
  readonly metadata?: readonly MetadataEntry[] | null;
  readonly acl?: readonly { principal: string; permissions: Permission[]; expiresAt?: Date | null }[] | null;
  readonly idempotencyKey?: string | null;
}

export interface UploadLimits {
  readonly maxUploadBytes: number;
  /** Types and families that may be sent; empty for all. */
  readonly allowedTypes: readonly string[];
}

/** The same, checked and in canonical form. */
export interface ParsedUploadRequest {
  readonly filename: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly checksumSha256: string;
  readonly crc32c: string | null;
  readonly method: 'PUT' | 'RESUMABLE';
  readonly metadata: readonly MetadataEntry[];
  readonly acl: readonly { principal: string; permission: Permission; expiresAt: Date | null }[];
  readonly idempotencyKey: string | null;
  /** Equal for equal requests, whatever the order of their entries; null without an idempotency key. */
  readonly fingerprint: string | null;
}

const MAX_GRANTS = 200;
const IDEMPOTENCY_KEY = /^[^\p{Cc}\p{Cs}]{1,128}$/u;
const at = (...path: (string | number)[]) => ['input', ...path];

function parseAcl(grants: NonNullable<UploadRequest['acl']>): ParsedUploadRequest['acl'] {
  const entries = new Map<string, { principal: string; permission: Permission; expiresAt: Date | null }>();
  const tooLong = () => invalid('ACL_TOO_LONG', `At most ${MAX_GRANTS} grants are allowed.`, at('acl'));
  // Each is one at least.
  if (grants.length > MAX_GRANTS) throw tooLong();
  grants.forEach((grant, index) => {
    const { principal, permissions } = parseGrant(grant, at('acl', index));
    const expiresAt = grant.expiresAt ?? null;
    for (const permission of permissions) {
      const key = `${principal} ${permission}`;
      if (entries.has(key))
        throw invalid('GRANT_TWICE', `${principal} is granted ${permission} twice.`, at('acl', index));
      entries.set(key, { principal, permission, expiresAt });
    }
  });
  if (entries.size > MAX_GRANTS) throw tooLong();
  return [...entries.values()];
}

const byText = (a: unknown, b: unknown) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** @throws StowageError invalid, with the path of the input that is wrong */
export function parseUploadRequest(request: UploadRequest, limits: UploadLimits): ParsedUploadRequest {
  const { sizeBytes, idempotencyKey = null } = request;
  if (sizeBytes > limits.maxUploadBytes) {
    throw invalid(
      'SIZE_TOO_LARGE',
      `A file may have at most ${limits.maxUploadBytes} bytes.`,
      at('sizeBytes'),
    );
  }
  if (idempotencyKey !== null && !IDEMPOTENCY_KEY.test(idempotencyKey)) {
    throw invalid(
      'IDEMPOTENCY_KEY_INVALID',
      'idempotencyKey has 1 to 128 characters, none of them a control character.',
      at('idempotencyKey'),
    );
  }
  const mimeType = parseMediaType(request.mimeType, at('mimeType'));
  // What is declared as nothing in particular is judged by what is found in it.
  if (mimeType !== OCTET_STREAM && !isAllowedType(mimeType, limits.allowedTypes)) {
    throw invalid('TYPE_NOT_ALLOWED', `Files of the type ${mimeType} are not stored here.`, at('mimeType'));
  }
  const parsed = {
    filename: parseFilename(request.filename, at('filename')),
    mimeType,
    sizeBytes,
    checksumSha256: parseSha256(request.checksumSha256, at('checksumSha256')),
    crc32c: request.crc32c == null ? null : parseCrc32c(request.crc32c, at('crc32c')),
    method: request.method ?? 'PUT',
    metadata: parseMetadata(request.metadata ?? [], at('metadata')),
    acl: parseAcl(request.acl ?? []),
  };
  const canonical = {
    ...parsed,
    metadata: parsed.metadata.toSorted(byText),
    acl: parsed.acl.toSorted(byText),
  };
  const fingerprint =
    idempotencyKey === null ? null : createHash('sha256').update(JSON.stringify(canonical)).digest('hex');
  return { ...parsed, idempotencyKey, fingerprint };
}
