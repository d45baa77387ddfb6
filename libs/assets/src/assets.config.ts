import { ArrayNotEmpty, IsString, Matches, MinLength } from 'class-validator';
import type { BatcherOptions } from '#libs/database';
import { Variable, Whole, Words } from '#libs/runtime';

const TYPE_OR_FAMILY = /^[a-z0-9][a-z0-9!#$&^_.+-]*\/(\*|[a-z0-9][a-z0-9!#$&^_.+-]*)$/;

/** Declares a list of media types and families: `image/png, audio/*`. */
export function Types(): PropertyDecorator {
  return (target, name) => {
    const key = String(name);
    Words()(target, key);
    const message = '$property must be types and families such as image/png, audio/*';
    Matches(TYPE_OR_FAMILY, { each: true, message })(target, key);
  };
}

export class AssetsConfig {
  @Variable('INCOMING_BUCKET')
  @IsString()
  @MinLength(3)
  readonly incomingBucket: string;

  /** Media types and families (`image/png, audio/*`) that may be stored; empty allows all. */
  @Variable('ALLOWED_TYPES')
  @Types()
  readonly allowedTypes: readonly string[] = [];

  /** Keys that encrypt upload session URLs in the database: the first encrypts, all decrypt. */
  @Variable('UPLOAD_SESSION_KEYS')
  @Words()
  @ArrayNotEmpty({ message: '$property must be set' })
  @Matches(/^[0-9a-f]{64}$/, { each: true, message: '$property must be keys of 64 hex digits each' })
  readonly uploadSessionKeys: readonly string[] = [];

  /** Days after which deleted assets are purged. Until then they can be restored. */
  @Variable('DELETED_DAYS')
  @Whole(1, 3650)
  readonly deletedDays: number = 30;

  /** Days for which expired, cancelled and rejected uploads are kept. */
  @Variable('FINISHED_UPLOAD_DAYS')
  @Whole(1, 3650)
  readonly finishedUploadDays: number = 30;

  /** How claims of incoming objects are batched. Default: up to 100 claims per statement, one statement at a time. */
  readonly claimBatches?: BatcherOptions;
}
