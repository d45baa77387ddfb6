/** What is always true. Guards and tests are named by the number. */
export const INVARIANTS: readonly string[] = [
  'The bytes that were checked are the bytes that are served.',
  'Nothing is served before READY, and READY means that every check passed.',
  'Every asset reaches a terminal state, whatever is lost, doubled, reordered or killed.',
  'Each effect happens once.',
  'Quota is exact: reserved with the row, settled or released once, never exceeded, never leaked.',
  'The reference count equals the number of assets that point at the object; bytes that no row knows are never trusted.',
  'Nothing is learned without sending the bytes.',
  'A revoked reader is out, and no URL outlives the configured maximum.',
  'Not found and not yours look the same.',
  'A client can always retry.',
];

export interface Guard {
  readonly invariant: number;
  readonly what: string;
  readonly file: string;
  /** Occurs once in the file. */
  readonly guard: string;
  readonly without: string;
  readonly test: string;
  /** The test's name, or its beginning. */
  readonly name: string;
}

const PROCESSING = 'test/integration/processing/processing.spec.ts';
const UPLOAD = 'test/integration/upload/upload.spec.ts';
const SWEEPER = 'test/integration/lifecycle/sweeper.spec.ts';
const DELIVERY = 'test/integration/delivery/delivery.spec.ts';
const REMOVAL = 'test/integration/assets/removal.spec.ts';
const ASSETS = 'test/integration/assets/assets.spec.ts';

export const GUARDS: readonly Guard[] = [
  {
    invariant: 1,
    what: 'The SHA-256 of what was read is the declared one',
    file: 'libs/processing/src/verify.ts',
    guard: 'if (seen.sha256 !== asset.checksumSha256) {',
    without: 'if (asset.checksumSha256 === undefined) {',
    test: PROCESSING,
    name: 'refuses other bytes of the same length',
  },
  {
    invariant: 1,
    what: 'The CRC32C of what was read is the object’s',
    file: 'libs/processing/src/verify.ts',
    guard: 'stat.crc32c !== null && stat.crc32c !== seen.crc32c',
    without: 'stat.crc32c === undefined',
    test: PROCESSING,
    name: 'refuses bytes whose CRC32C is not',
  },
  {
    invariant: 1,
    what: 'An object with a Content-Encoding is refused',
    file: 'libs/processing/src/verify.ts',
    guard: "stat.contentEncoding !== null && stat.contentEncoding !== ''",
    without: 'stat.contentEncoding === undefined',
    test: PROCESSING,
    name: 'refuses bytes that readers would get decompressed',
  },
  {
    invariant: 1,
    what: 'Reading, checking and copying are pinned to the claimed generation',
    file: 'libs/processing/src/processing.service.ts',
    guard: `    const object = { ...this.incoming.refOf(asset.id), version: generation };
    const stat = await this.store.stat(object, { signal });`,
    without: `    const stat = await this.store.stat(this.incoming.refOf(asset.id), { signal });
    const object = { ...this.incoming.refOf(asset.id), version: stat?.version ?? generation };`,
    test: PROCESSING,
    name: 'never takes one generation',
  },
  {
    invariant: 2,
    what: 'URLs are signed for READY assets only',
    file: 'libs/delivery/src/download-urls.service.ts',
    guard: "asset.status !== 'READY' || ",
    without: '',
    test: DELIVERY,
    name: 'hands out nothing before READY',
  },
  {
    invariant: 2,
    what: 'The type found in the bytes must not contradict the declared one',
    file: 'libs/processing/src/verify.ts',
    guard: 'if (settled === null) {',
    without: 'if (settled === undefined) {',
    test: PROCESSING,
    name: 'refuses HTML for a picture',
  },
  {
    invariant: 3,
    what: 'What never came expires',
    file: 'libs/lifecycle/src/sweeper.service.ts',
    guard: 'asset === null || asset.uploadDeadlineAt > now',
    without: 'asset !== undefined',
    test: SWEEPER,
    name: 'expires what never came',
  },
  {
    invariant: 3,
    what: 'A lost job is enqueued again',
    file: 'libs/lifecycle/src/sweeper.repository.ts',
    guard:
      "select asset_id from media_assets where status in ('PENDING', 'PROCESSING', 'FAILED') and next_check_at <= $1",
    without:
      "select asset_id from media_assets where status in ('PENDING', 'FAILED') and next_check_at <= $1",
    test: SWEEPER,
    name: 'enqueues again what is PROCESSING and silent',
  },
  {
    invariant: 3,
    what: 'A lost event is made up for by asking storage',
    file: 'libs/lifecycle/src/sweeper.service.ts',
    guard: "(await this.arrivals.look(assetId)) !== 'nothing-there'",
    without: 'assetId.length === 0',
    test: SWEEPER,
    name: 'finds bytes whose event was lost',
  },
  {
    invariant: 3,
    what: 'A stop of the worker uses up no attempt',
    file: 'libs/processing/src/processing.service.ts',
    guard: "signal.aborted || kindOf(error) === 'unavailable'",
    without: "kindOf(error) === 'over-quota'",
    test: PROCESSING,
    name: 'lets go of work when the worker stops',
  },
  {
    invariant: 3,
    what: 'A job that kills its worker again and again comes to an end',
    file: 'libs/processing/src/processing.service.ts',
    guard: 'asset.attempt >= MAX_ATTEMPTS',
    without: 'asset.attempt >= 1000',
    test: PROCESSING,
    name: 'gives up on a job that kills its worker',
  },
  {
    invariant: 4,
    what: 'A transition names the status that it leaves and the version that it saw',
    file: 'libs/assets/src/transitions.service.ts',
    guard: 'assetId: seen.id, version: seen.version, status: { in: [...from] }',
    without: 'assetId: seen.id',
    test: PROCESSING,
    name: 'does everything once when the same job runs five times',
  },
  {
    invariant: 4,
    what: 'The version counts, not only the status',
    file: 'libs/assets/src/transitions.service.ts',
    guard: 'version: seen.version, status: { in',
    without: 'status: { in',
    test: PROCESSING,
    name: 'refuses a transition by whoever saw an older version',
  },
  {
    invariant: 4,
    what: 'Expiry acts upon the deadline that it saw',
    file: 'libs/assets/src/transitions.service.ts',
    guard: '{ ...seen, where: { uploadDeadlineAt: { lte: now } } }',
    without: '{ ...seen }',
    test: SWEEPER,
    name: 'does not expire what was renewed meanwhile',
  },
  {
    invariant: 4,
    what: 'A claim is made once',
    file: 'libs/assets/src/transitions.service.ts',
    guard: "where asset_id = $1 and status = 'PENDING'",
    without: 'where asset_id = $1',
    test: UPLOAD,
    name: 'claims the generation that storage has, once',
  },
  {
    invariant: 5,
    what: 'The reservation is refused by the row that would pass its limit',
    file: 'libs/upload/src/upload.repository.ts',
    guard:
      'where q.used_bytes + q.reserved_bytes + excluded.reserved_bytes <= coalesce(q.limit_bytes, $2::bigint)',
    without: 'where true',
    test: UPLOAD,
    name: 'lets exactly as many of 200',
  },
  {
    invariant: 5,
    what: 'Assets are counted as well',
    file: 'libs/upload/src/upload.repository.ts',
    guard:
      'and q.used_assets + q.reserved_assets + excluded.reserved_assets <= coalesce(q.limit_assets, $3::int)',
    without: '',
    test: UPLOAD,
    name: 'counts assets as exactly as bytes',
  },
  {
    invariant: 5,
    what: 'The quota is settled with the transition',
    file: 'libs/assets/src/transitions.service.ts',
    guard: `        await this.quotas.apply(tx, TRANSITIONS[name].quota, seen.ownerId, BigInt(seen.sizeBytes));
        if (TRANSITIONS`,
    without: '        if (TRANSITIONS',
    test: PROCESSING,
    name: 'makes READY what is as it was declared',
  },
  {
    invariant: 5,
    what: 'A purge gives back what the asset used',
    file: 'libs/assets/src/transitions.service.ts',
    guard: "asset.storedObjectId === null ? 'none' : 'return'",
    without: "asset.storedObjectId === null ? 'none' : 'none'",
    test: REMOVAL,
    name: 'purges record, reference, quota and bytes at once',
  },
  {
    invariant: 6,
    what: 'A reference is counted on STAGING and LIVE objects only',
    file: 'libs/assets/src/stored-objects.service.ts',
    guard: "where: { id, state: { in: ['STAGING', 'LIVE'] } },",
    without: 'where: { id },',
    test: PROCESSING,
    name: 'counts a reference only on an object that may be pointed at',
  },
  {
    invariant: 6,
    what: 'Nobody shares an object that is being deleted',
    file: 'libs/assets/src/stored-objects.service.ts',
    guard: "where o.state in ('STAGING', 'LIVE')",
    without: '',
    test: PROCESSING,
    name: 'waits while the collector deletes',
  },
  {
    invariant: 6,
    what: 'Bytes that no row vouches for are written over',
    file: 'libs/processing/src/content-store.ts',
    guard: 'if (there.version === staged.version)',
    without: 'if (there.version !== undefined)',
    test: PROCESSING,
    name: 'writes over an object that no row vouches for',
  },
  {
    invariant: 6,
    what: 'Only what nobody points at is condemned',
    file: 'libs/assets/src/stored-objects.service.ts',
    guard: "where id = $1 and ref_count = 0 and state in ('STAGING', 'LIVE', 'DELETING')",
    without: "where id = $1 and state in ('STAGING', 'LIVE', 'DELETING')",
    test: REMOVAL,
    name: 'purges record, reference, quota and bytes at once',
  },
  {
    invariant: 6,
    what: 'What is pinned is not collected',
    file: 'libs/assets/src/stored-objects.service.ts',
    guard: 'and (pinned_until is null or pinned_until < $2)',
    without: 'and $2::timestamptz is not null',
    test: REMOVAL,
    name: 'collects what was copied by a worker that died',
  },
  {
    invariant: 7,
    what: 'DEDUPE_SCOPE=owner shares nothing between owners',
    file: 'libs/processing/src/content-store.ts',
    guard: "this.options.dedupeScope === 'owner' ? String(ownerId) : ''",
    without: "ownerId < 0n ? this.options.dedupeScope : ''",
    test: PROCESSING,
    name: 'shares nothing between owners',
  },
  {
    invariant: 8,
    what: 'A grant ends when it expires',
    file: 'libs/acl/src/acl.ts',
    guard: 'and (g.expires_at is null or g.expires_at > now())',
    without: '',
    test: ASSETS,
    name: 'lets a grant end when it expires',
  },
  {
    invariant: 8,
    what: 'No URL outlives the maximum',
    file: 'libs/delivery/src/download-urls.service.ts',
    guard: 'expiresInSeconds < 1 || expiresInSeconds > maxSeconds',
    without: 'expiresInSeconds < 1',
    test: DELIVERY,
    name: 'refuses a life of 3601 seconds',
  },
  {
    invariant: 9,
    what: 'Who may not read is told what is told of nothing',
    file: 'libs/assets/src/assets.service.ts',
    guard: "asset !== null && may(actor, 'READ', asset) ? asset : null",
    without: 'asset',
    test: ASSETS,
    name: 'looks the same to strangers',
  },
  {
    invariant: 10,
    what: 'A repeated idempotency key is answered when the quota is full, too',
    file: 'libs/upload/src/upload.repository.ts',
    guard: 'if (row !== undefined) {',
    without: 'if (row !== undefined && asset.sizeBytes <= bytes) {',
    test: UPLOAD,
    name: 'reserves once for an idempotency key',
  },
  {
    invariant: 10,
    what: 'The same key with another input is a conflict',
    file: 'libs/upload/src/upload.service.ts',
    guard: 'fingerprint !== parsed.fingerprint',
    without: 'fingerprint === undefined',
    test: UPLOAD,
    name: 'reserves once for an idempotency key',
  },
];
