import { Transform } from 'class-transformer';
import { IsArray, IsIn, IsString, Min, MinLength } from 'class-validator';
import { DEFAULT_PROFILES, parseProfiles, type VariantProfile } from '#libs/domain';
import { Bytes, Variable, Whole, wordsIn } from '#libs/runtime';

export class ContentConfig {
  /** Bucket of stored objects and variants; only the service writes there. */
  @Variable('CONTENT_BUCKET')
  @IsString()
  @MinLength(3)
  readonly contentBucket: string;

  /** Whether identical files of different owners share one object. */
  @Variable('DEDUPE_SCOPE')
  @IsIn(['global', 'owner'])
  readonly dedupeScope: 'global' | 'owner' = 'global';

  /** Time in days by which the database may be restored to an earlier state. Bytes that lost their last reference are kept that long. */
  @Variable('RESTORE_WINDOW_DAYS')
  @Whole(0, 3_650)
  readonly restoreWindowDays: number = 7;
}

/** Declares variant profiles: `small=webp:320:80, cover=webp:600x600:80:cover`. */
function Profiles(): PropertyDecorator {
  const parse = ({ value }: { value: unknown }): unknown => {
    try {
      return typeof value === 'string' ? parseProfiles(wordsIn(value)) : value;
    } catch (error) {
      return error;
    }
  };
  const message = ({ value }: { value: unknown }) => (value as Error).message.replace(/\.$/, '');
  return (target, name) => {
    const key = String(name);
    Transform(parse)(target, key);
    IsArray({ message })(target, key);
  };
}

export class ContentStoreConfig {
  /** Bucket of infected and damaged bytes; no URL of the service leads there. */
  @Variable('QUARANTINE_BUCKET')
  @IsString()
  @MinLength(3)
  readonly quarantineBucket: string;

  /** Bucket of client uploads, which belongs to the same installation. The app sets it to that of `AssetsConfig`. */
  incomingBucket: string;

  /**
   * Variants of every image: `name=format:longest side:quality` or `name=format:WIDTHxHEIGHT:quality:cover`. The app adds
   * those of features.
   */
  @Variable('VARIANT_PROFILES')
  @Profiles()
  profiles: readonly VariantProfile[] = parseProfiles(DEFAULT_PROFILES);

  /** Time in days within which the bytes of each stored object are read and hashed again; 0 turns this off. */
  @Variable('VERIFY_DAYS')
  @Whole(0, 3_650)
  readonly verifyDays: number = 90;

  /** Bytes of stored objects to read and hash again per second. */
  @Variable('VERIFY_BYTES_PER_SECOND')
  @Bytes()
  @Min(1)
  readonly verifyBytesPerSecond: number = 20 * 2 ** 20;

  /** Time in days after which repaired findings of the integrity tasks are removed. */
  @Variable('FINDING_DAYS')
  @Whole(1, 3_650)
  readonly findingDays: number = 90;
}
