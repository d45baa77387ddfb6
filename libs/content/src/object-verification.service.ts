import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { contentKey, kindOf, type ObjectRef, OCTET_STREAM } from '#libs/domain';
import { release } from '#libs/runtime';
import { type ObjectStat, ObjectStore } from '#libs/storage';
import { ContentConfig } from './content.config.js';
import { ContentDigest, type Digest } from './content-digest.js';
import { CACHE_CONTROL } from './content-writer.js';
import { CorruptionService } from './corruption.service.js';
import { IntegrityFindingsService, type NewFinding } from './integrity-findings.service.js';
import { ObjectVerificationRepository, type RecordedObject } from './object-verification.repository.js';

/**
 * - `intact`
 * - `repaired`: a difference was repaired and recorded as a finding
 * - `damaged`: the object is CORRUPT now, and the finding is open
 * - `changed`: the object is neither LIVE nor CORRUPT, or changed meanwhile; another verification may follow
 */
export type VerificationResult = 'intact' | 'repaired' | 'damaged' | 'changed';

type Problem = NewFinding['problem'];

/** Problems of one stored object that a verification finds. */
export const OBJECT_PROBLEMS = ['MISSING', 'GENERATION_CHANGED', 'SIZE_CHANGED', 'CORRUPT'] as const;

/** Subject of the findings of a stored object. */
export const objectSubject = (id: bigint) => `object ${id}`;

/**
 * Compares a stored object in storage with its rows. The bytes decide: bytes with the recorded hash are kept and the rows corrected;
 * other bytes move to the quarantine bucket, and the object is CORRUPT until the right bytes are back: an upload stored them again, or
 * an operator restored the object. Every change
 * requires the version that was read, so it can be repeated and never affects a newer copy.
 */
@Injectable()
export class ObjectVerificationService {
  constructor(
    private readonly config: ContentConfig,
    private readonly store: ObjectStore,
    private readonly objects: ObjectVerificationRepository,
    private readonly corruption: CorruptionService,
    private readonly findings: IntegrityFindingsService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(ObjectVerificationService.name);
  }

  /**
   * Compares one stored object (its row, its copy row, the object in the bucket) in full, hashes the bytes, repairs what can be
   * repaired and records a finding.
   * @throws StowageError unavailable
   */
  async verify(id: bigint, now: Date, signal?: AbortSignal): Promise<VerificationResult> {
    const recorded = await this.objects.find(id);
    if (recorded === null) return 'changed';
    const at = this.placeOf(recorded);
    const found = await this.store.stat(at, { signal });
    const digest = found === null ? null : await this.read(recorded, found, signal);
    if (found !== null && digest === null) return 'changed';
    if (found === null || digest === null || digest.sha256 !== recorded.sha256) {
      return this.withdraw(recorded, at, found, now, signal);
    }
    return this.confirm(recorded, found, digest, now, signal);
  }

  /** The key of a copy whose row is lost follows from the hash. */
  private placeOf({ bucket, key, sha256, scope }: RecordedObject): ObjectRef {
    if (bucket === null || key === null) {
      return { bucket: this.config.contentBucket, key: contentKey(sha256, scope) };
    }
    return { bucket, key };
  }

  /**
   * Reads the bytes, and again if their hash is wrong: a transmission error damages only one reading.
   * @returns null if this version does not exist any more
   * @throws Error if only the bytes of this object cannot be read; StowageError unavailable
   */
  private async read(
    { id, sha256 }: RecordedObject,
    found: ObjectStat,
    signal?: AbortSignal,
  ): Promise<Digest | null> {
    try {
      const first = await this.digestOf(found, signal);
      if (first.sha256 === sha256) return first;
      const second = await this.digestOf(found, signal);
      if (second.sha256 === sha256) {
        this.logger.warn({ storedObject: String(id) }, 'transmission error while reading a stored object');
      }
      return second;
    } catch (error) {
      if (kindOf(error) === 'not-found') return null;
      if (kindOf(error) !== 'unavailable' || signal?.aborted) throw error;
      // Many objects on a damaged disk must not look like an outage, which would end each run before the objects that follow.
      if ((await this.store.stat(found, { signal })) === null) return null;
      throw new Error('Storage answers, but not with the bytes of this object.', { cause: error });
    }
  }

  private async digestOf(found: ObjectStat, signal?: AbortSignal): Promise<Digest> {
    const digest = new ContentDigest();
    for await (const chunk of this.store.read(found, { signal }) as AsyncIterable<Buffer>) {
      digest.update(chunk);
      release(chunk);
    }
    return digest.result();
  }

  /** Takes an object out of service whose bytes are missing or wrong. The finding comes first, so that a crash cannot lose it. */
  private async withdraw(
    recorded: RecordedObject,
    at: ObjectRef,
    found: ObjectStat | null,
    now: Date,
    signal?: AbortSignal,
  ): Promise<VerificationResult> {
    const { id, sha256, version } = recorded;
    if (recorded.state === 'CORRUPT') {
      // A worker died before it deleted the bytes, or somebody restored the wrong ones.
      if (found !== null) await this.corruption.discard({ id, sha256, location: found }, signal);
      return 'damaged';
    }
    // An upload may have stored the bytes again, or a purge may have deleted them.
    const current = await this.objects.find(id);
    if (current?.state !== 'LIVE' || current.version !== version) return 'changed';
    const finding = damageOf(recorded, found);
    await this.findings.report(findingOf(id, at, finding), now);
    const isMarked =
      found === null || version === null
        ? await this.corruption.markMissing(id, version)
        : await this.corruption.remove({ id, sha256, location: found }, signal, version);
    return isMarked ? 'damaged' : 'changed';
  }

  /** Corrects the rows, and the metadata in storage, of bytes with the recorded hash. */
  private async confirm(
    recorded: RecordedObject,
    found: ObjectStat,
    digest: Digest,
    now: Date,
    signal?: AbortSignal,
  ): Promise<VerificationResult> {
    const { id, state } = recorded;
    const repaired: [Problem, string][] = [];
    if (found.version !== recorded.version) {
      const isRecorded =
        recorded.bucket === null
          ? await this.objects.recordLostCopy(id, found, found)
          : await this.objects.recordVersion(id, recorded.version, found);
      if (!isRecorded) return 'changed';
      if (state === 'LIVE')
        repaired.push([
          'GENERATION_CHANGED',
          recorded.version === null ? 'The row of the copy was lost.' : versionsOf(recorded, found),
        ]);
    }
    const stored = await this.withOurMetadata(id, found, signal);
    if (stored === null) return 'changed';
    if (stored !== found) repaired.push(['CORRUPT', 'The content type or encoding had changed.']);
    if (!(await this.objects.recordVerified(id, stored.version, digest, now))) return 'changed';
    if (recorded.sizeBytes !== BigInt(digest.sizeBytes))
      repaired.push(['SIZE_CHANGED', sizesOf(recorded, digest)]);
    if (recorded.crc32c !== digest.crc32c) repaired.push(['CORRUPT', 'The recorded checksum was wrong.']);
    for (const problem of OBJECT_PROBLEMS)
      await this.findings.close({ subject: objectSubject(id), problem }, now);
    for (const finding of repaired) {
      await this.findings.report({ ...findingOf(id, found, finding), repaired: true }, now);
    }
    return state === 'CORRUPT' || repaired.length > 0 ? 'repaired' : 'intact';
  }

  /**
   * Writes an object onto itself if its metadata is not that of a stored object, and records the new version.
   * @returns null if the object changed meanwhile
   */
  private async withOurMetadata(
    id: bigint,
    found: ObjectStat,
    signal?: AbortSignal,
  ): Promise<ObjectStat | null> {
    if (found.contentType === OCTET_STREAM && found.contentEncoding === null) return found;
    const { bucket, key, version } = found;
    const request = {
      from: found,
      to: { bucket, key },
      expect: { version },
      contentType: OCTET_STREAM,
      cacheControl: CACHE_CONTROL,
    };
    const result = await this.store.copy(request, { signal });
    if (result.outcome !== 'copied') return null;
    if (await this.objects.recordVersion(id, version, result.copy)) return result.copy;
    // The object was deleted or stored again meanwhile, so no row refers to this version.
    await this.store.delete(result.copy, { signal });
    return null;
  }
}

function damageOf(recorded: RecordedObject, found: ObjectStat | null): readonly [Problem, string] {
  if (recorded.version === null) return ['MISSING', 'The row of the copy was lost, and so were the bytes.'];
  if (found === null) return ['MISSING', 'The object does not exist.'];
  if (found.version !== recorded.version)
    return ['GENERATION_CHANGED', `Other bytes. ${versionsOf(recorded, found)}`];
  if (BigInt(found.sizeBytes) !== recorded.sizeBytes) return ['SIZE_CHANGED', sizesOf(recorded, found)];
  return ['CORRUPT', 'The SHA-256 of the bytes differs from the recorded one.'];
}

const versionsOf = (recorded: RecordedObject, found: ObjectStat) =>
  `Version ${found.version} was found instead of ${recorded.version}.`;

const sizesOf = (recorded: RecordedObject, { sizeBytes }: { readonly sizeBytes: number }) =>
  `${sizeBytes} bytes were found instead of ${recorded.sizeBytes}.`;

const findingOf = (
  id: bigint,
  { bucket, key }: ObjectRef,
  [problem, detail]: readonly [Problem, string],
): NewFinding => ({
  problem,
  subject: objectSubject(id),
  bucket,
  objectKey: key,
  storedObjectId: id,
  detail,
});
