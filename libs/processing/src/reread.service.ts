import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { FeaturePropertiesRepository, type UnreadObject } from '#libs/content';
import type { FeatureProperties } from '#libs/domain';
import { type FileReader, InspectionExtensions, type Loadable } from '#libs/inspection';
import { StowageTask, type TaskContext } from '#libs/runtime';
import { FeatureInspection } from './feature-inspection.js';
import { StoredContentReader } from './stored-content-reader.js';

/** A reader that has not read an object yet at its revision, and the media type of an asset that it reads. */
interface DueReader {
  readonly reader: Loadable<FileReader>;
  readonly mediaType: string;
}

/** Reads stored objects again when features add file readers or raise their revisions, newest first. */
@Injectable()
export class RereadService {
  /** Objects that the last search found, whose readers are due. */
  private found: UnreadObject[] = [];

  constructor(
    private readonly extensions: InspectionExtensions,
    private readonly properties: FeaturePropertiesRepository,
    private readonly storedContent: StoredContentReader,
    private readonly features: FeatureInspection,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(RereadService.name);
  }

  @StowageTask('feature-readers', { seconds: 1 })
  readNext({ now, signal }: TaskContext): Promise<boolean> {
    return this.next(now, signal);
  }

  /**
   * Reads the next object by the readers of its media types, and passes over up to 500 newer objects without such a reader. A
   * reader that fails leaves the old properties and is not tried again at this revision. An object that is damaged, or could not
   * be scanned, is tried again when its claim expires, after an hour.
   * @returns false when no object was read
   * @throws StowageError unavailable; InspectionFailed
   */
  async next(now: Date, signal?: AbortSignal): Promise<boolean> {
    if (this.found.length === 0) this.found = await this.search(now);
    for (let object = this.found.shift(); object !== undefined; object = this.found.shift()) {
      const due = this.dueReaders(object);
      if (due.length > 0 && (await this.read(object, due, now, signal))) return true;
    }
    return false;
  }

  /** Searches once for many files, as a search reads the media types of all objects that it finds. */
  private async search(now: Date): Promise<UnreadObject[]> {
    if (this.extensions.readers.length === 0) return [];
    const notes = await this.properties.listNotes();
    const due = notes.filter((note) => !this.extensions.areReadersIn(note));
    if (due.length === 0) return [];
    const objects = await this.properties.findReadBy(due, now);
    const isUnaffected = (object: UnreadObject) => this.dueReaders(object).length === 0;
    await this.properties.skip(objects.filter(isUnaffected), (note) => this.extensions.labelWith(note));
    return objects.filter((object) => !isUnaffected(object));
  }

  /** The readers whose revision has not read the object, each with the first media type that it reads. */
  private dueReaders({ mediaTypes, readBy }: UnreadObject): DueReader[] {
    const found = mediaTypes.flatMap((mediaType) =>
      this.extensions.readersOf(mediaType, readBy).map((reader) => ({ reader, mediaType })),
    );
    return [...new Map(found.toReversed().map((each) => [each.reader.id, each])).values()];
  }

  /** @returns false when another worker has claimed the object */
  private async read(
    unread: UnreadObject,
    due: readonly DueReader[],
    now: Date,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const object = await this.properties.claim(unread, now);
    if (object === null) return false;
    const { id, sizeBytes } = object;
    await using read = await this.storedContent.read(object, due[0]!.mediaType, now, signal);
    if (read === null) return true;
    const { path } = read;
    let found: FeatureProperties = {};
    if (path === null) this.logger.warn({ storedObject: String(id) }, 'stored object too large to be read');
    else {
      for (const { reader, mediaType } of due) {
        found = { ...found, ...(await this.features.read([reader], { path, sizeBytes, mediaType }, signal)) };
      }
    }
    await this.properties.record(id, found, this.extensions.labelWith(unread.readBy));
    return true;
  }
}
