import { text } from 'node:stream/consumers';
import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Database, statement } from '#libs/database';
import {
  assetIdOfIncomingKey,
  INSTALLATION_KEY,
  parseContentKey,
  parseVariantKey,
  StowageError,
} from '#libs/domain';
import { inPages } from '#libs/runtime';
import { type ObjectStat, ObjectStore } from '#libs/storage';
import { ContentConfig, ContentStoreConfig } from './content.config.js';

const PAGE = 1_000;
/** Pages of a bucket that are searched for an object of this database. */
const MAX_PAGES = 10;
/** The object holds an id and the name of a bucket. */
const MAX_BYTES = 4_096;

/** An empty table, as after a truncation, is filled again. */
const IDENTIFY = statement<{ readonly id: string }>(
  'installation_identify',
  `with created as (insert into installation default values on conflict do nothing returning id)
    select id from installation union all select id from created`,
);

const KNOWS_COPY = statement<object>(
  'installation_knows_copy',
  `select from unnest($2::text[], $3::text[]) as k (key, version)
      join object_copies c on c.bucket = $1 and c.key collate "C" = k.key and c.version = k.version limit 1`,
);

const KNOWS_ASSET = statement<object>(
  'installation_knows_asset',
  `select from media_assets where asset_id = any($1::uuid[]) limit 1`,
);

/** The owner of the buckets, as the object {@link INSTALLATION_KEY} records it. */
interface Marker {
  readonly installation: string;
  readonly incomingBucket: string;
}

/**
 * Tells whether the buckets belong to this database. An empty, foreign or wrongly restored database would take every object for an
 * orphan.
 */
@Injectable()
export class InstallationService {
  constructor(
    private readonly config: ContentConfig,
    private readonly storeConfig: ContentStoreConfig,
    private readonly database: Database,
    private readonly store: ObjectStore,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(InstallationService.name);
  }

  /**
   * Compares the object {@link INSTALLATION_KEY} of the content bucket with this database. If it does not exist, it is written when
   * the buckets are empty, or hold an object that this database records.
   * @param isDryRun nothing is written then
   * @throws StowageError conflict INSTALLATION_MISMATCH, BUCKET_UNPROVEN; unavailable
   */
  async assertOwnBuckets(isDryRun: boolean, signal?: AbortSignal): Promise<void> {
    const { incomingBucket } = this.storeConfig;
    const own: Marker = { installation: await this.id(), incomingBucket };
    let found = await this.read(signal);
    if (found === null) {
      if (!(await this.isProven(signal))) throw unproven(own);
      if (isDryRun) return;
      found = await this.write(own, signal);
    }
    if (found.installation === own.installation && found.incomingBucket === incomingBucket) return;
    throw new StowageError(
      'conflict',
      'INSTALLATION_MISMATCH',
      `The object ${INSTALLATION_KEY} in the content bucket names another installation or another bucket for uploads. Check the database ` +
        `and the buckets in the configuration. Only if they are right, replace its content by ${JSON.stringify(own)}.`,
    );
  }

  private async id(): Promise<string> {
    return (await this.database.query(IDENTIFY, []))[0]!.id;
  }

  private async read(signal?: AbortSignal): Promise<Marker | null> {
    const stat = await this.store.stat(this.location(), { signal });
    if (stat === null) return null;
    return stat.sizeBytes > MAX_BYTES ? UNREADABLE : parse(await text(this.store.read(stat, { signal })));
  }

  /** @returns the marker that the bucket has afterwards: another worker or database may have written one */
  private async write(marker: Marker, signal?: AbortSignal): Promise<Marker> {
    const body = Buffer.from(JSON.stringify(marker));
    const request = {
      to: this.location(),
      body,
      expect: 'absent' as const,
      contentType: 'application/json',
    };
    const { outcome } = await this.store.write(request, { signal });
    if (outcome === 'written') this.logger.info(marker, 'buckets assigned to this installation');
    return (await this.read(signal)) ?? UNREADABLE;
  }

  private location() {
    return { bucket: this.config.contentBucket, key: INSTALLATION_KEY };
  }

  private async isProven(signal?: AbortSignal): Promise<boolean> {
    const content = await this.search(
      this.config.contentBucket,
      ({ key }) => parseContentKey(key) !== null || parseVariantKey(key) !== null,
      (objects) => this.knowsCopies(objects),
      signal,
    );
    if (content === 'known') return true;
    const incoming = await this.search(
      this.storeConfig.incomingBucket,
      ({ key }) => assetIdOfIncomingKey(key) !== null,
      (objects) => this.knowsAssets(objects),
      signal,
    );
    return content === 'empty' && incoming !== 'unknown';
  }

  /** Reads the first pages of a bucket. `empty`: they have no object that Stowage wrote; `known`: a row records one. */
  private async search(
    bucket: string,
    isOwn: (object: ObjectStat) => boolean,
    knows: (objects: ObjectStat[]) => Promise<boolean>,
    signal?: AbortSignal,
  ): Promise<'empty' | 'known' | 'unknown'> {
    let pages = 0;
    let isEmpty = true;
    const read = (after?: ObjectStat) => this.store.list({ bucket, after: after?.key }, PAGE, { signal });
    for await (const objects of inPages(PAGE, read)) {
      const own = objects.filter(isOwn);
      isEmpty &&= own.length === 0;
      if (own.length > 0 && (await knows(own))) return 'known';
      if (++pages >= MAX_PAGES) break;
    }
    return isEmpty ? 'empty' : 'unknown';
  }

  private async knowsCopies(objects: ObjectStat[]): Promise<boolean> {
    const values = [
      this.config.contentBucket,
      objects.map(({ key }) => key),
      objects.map(({ version }) => version),
    ];
    return (await this.database.query(KNOWS_COPY, values)).length > 0;
  }

  private async knowsAssets(objects: ObjectStat[]): Promise<boolean> {
    return (await this.database.query(KNOWS_ASSET, [objects.map(({ key }) => key)])).length > 0;
  }
}

/** Differs from every installation. */
const UNREADABLE: Marker = { installation: '', incomingBucket: '' };

function parse(json: string): Marker {
  try {
    const { installation, incomingBucket } = JSON.parse(json) as Partial<Marker>;
    return { installation: String(installation), incomingBucket: String(incomingBucket) };
  } catch {
    return UNREADABLE;
  }
}

const unproven = (own: Marker) =>
  new StowageError(
    'conflict',
    'BUCKET_UNPROVEN',
    'The buckets hold objects that this database does not know, so they may belong to another installation. If they belong to this ' +
      `one, write the object ${INSTALLATION_KEY} into the content bucket, with the content ${JSON.stringify(own)}.`,
  );
