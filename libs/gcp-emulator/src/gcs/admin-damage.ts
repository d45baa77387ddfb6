import { ApiError } from './http/errors.js';
import { jsonReply, noContent, type Exchange, type Reply } from './http/exchange.js';
import { checkFields, isCount, isRecord, isText, optional, type Fields } from './http/fields.js';
import type { DamageControl } from './store/damage.js';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const isBase64 = (value: unknown) => isText(value) && BASE64.test(value);
const isTime = (value: unknown) => isText(value) && !Number.isNaN(Date.parse(value));

/** A request, after its fields have been checked by {@link KINDS}. */
interface DamageRequest {
  bucket: string;
  key: string;
  offset?: number;
  sizeBytes: number;
  /** base64 */
  data: string;
  metadata: Record<string, unknown>;
  createdAt?: string;
}

interface Kind {
  /** The fields beyond `bucket` and `key`. */
  fields: Fields;
  apply: (damage: DamageControl, request: DamageRequest) => Promise<object | void>;
}

const bytesOf = ({ data }: DamageRequest) => Buffer.from(data, 'base64');

const KINDS: Record<string, Kind> = {
  'flip-byte': {
    fields: { offset: optional(isCount) },
    apply: (damage, request) => damage.flipByte(request, request.offset),
  },
  truncate: {
    fields: { sizeBytes: isCount },
    apply: (damage, request) => damage.truncate(request, request.sizeBytes),
  },
  drop: { fields: {}, apply: (damage, request) => damage.drop(request) },
  replace: {
    fields: { data: isBase64 },
    apply: (damage, request) => damage.replace(request, bytesOf(request)),
  },
  metadata: {
    fields: { metadata: isRecord },
    apply: (damage, request) => damage.setMetadata(request, request.metadata),
  },
  put: {
    fields: { data: isBase64, createdAt: optional(isTime), metadata: optional(isRecord) },
    apply: (damage, request) => {
      const { metadata, createdAt } = request;
      return damage.put(request, bytesOf(request), {
        metadata,
        ...(createdAt !== undefined && { createdAt: new Date(createdAt) }),
      });
    },
  },
};

/**
 * Damages an object: `POST damage/KIND` with `{ bucket, key, … }`. A kind that makes a new version answers with it.
 * @throws {ApiError} notFound for an unknown kind, invalid for a wrong field
 */
export async function damageObject(damage: DamageControl, exchange: Exchange): Promise<Reply> {
  const name = exchange.param('kind');
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (kind === undefined) throw new ApiError('notFound');
  const body = await exchange.json();
  checkFields('', body, { bucket: isText, key: isText, ...kind.fields });
  const written = await kind.apply(damage, body as unknown as DamageRequest);
  return written === undefined ? noContent : jsonReply(written);
}
