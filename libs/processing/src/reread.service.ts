import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { FeaturePropertiesRepository, type UnreadObject } from '#libs/content';
import type { FeatureProperties } from '#libs/domain';
import { type FileReader, InspectionExtensions, type Loadable } from '#libs/inspection';
import { inPages, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
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

  @StowageTask('feature-readers', { seconds: 10 }, { concurrency: 1 })
  async *rereadAll({ now, signal, isDryRun }: TaskContext): AsyncGenerator<TaskStep> {
    if (isDryRun) {
      for await (const { affected, examined } of this.pages(now)) {
        // A run marks the others as read, and does not count them.
        yield { examined: examined - affected.length };
        for (const object of affected) yield step(object, () => Promise.resolve(false));
      }
      return;
    }
    for (let object; (object = await this.findNext(now)) !== undefined;) {
      const found = object;
      yield step(found, () => this.read(found, this.dueReaders(found), now, signal));
    }
  }

  /**
   * Reads the next object by the readers of its media types, and passes over newer objects without such a reader. A
   * reader that fails leaves the old properties and is not tried again at this revision. An object that is damaged, or could not
   * be scanned, is tried again when its claim expires, after an hour.
   * @returns false when no object was read
   * @throws StowageError unavailable; InspectionFailed
   */
  async next(now: Date, signal?: AbortSignal): Promise<boolean> {
    for (let object; (object = await this.findNext(now)) !== undefined;) {
      if (await this.read(object, this.dueReaders(object), now, signal)) return true;
      if (this.found.length === 0) return false;
    }
    return false;
  }

  /** The next object that a reader has to read, from the last search or a new one. */
  private async findNext(now: Date): Promise<UnreadObject | undefined> {
    if (this.found.length === 0) this.found = await this.search(now);
    return this.found.shift();
  }

  /** Pages of objects that other readers have read, newest first, and those of them that a reader has to read. */
  private async *pages(now: Date) {
    if (this.extensions.readers.length === 0) return;
    const notes = await this.properties.listNotes();
    const due = notes.filter((note) => !this.extensions.areReadersIn(note));
    if (due.length === 0) return;
    const page = (after?: UnreadObject) => this.properties.findReadBy(due, now, after?.id);
    for await (const objects of inPages(1, page)) {
      const unaffected = objects.filter((object) => this.dueReaders(object).length === 0);
      const affected = objects.filter((object) => !unaffected.includes(object));
      yield { affected, unaffected, examined: objects.length };
    }
  }

  /** Searches once for many files, as a search reads the media types of all objects that it finds. */
  private async search(now: Date): Promise<UnreadObject[]> {
    for await (const { affected, unaffected } of this.pages(now)) {
      await this.properties.skip(unaffected, (note) => this.extensions.labelWith(note));
      if (affected.length > 0) return affected;
    }
    return [];
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

function step({ id }: UnreadObject, read: () => Promise<boolean>): TaskStep {
  return {
    subject: { storedObject: String(id) },
    examine: () => ({ action: 'read', subject: `object ${id}`, perform: read }),
  };
}
