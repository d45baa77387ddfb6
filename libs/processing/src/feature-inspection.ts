import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { FeatureProperties, FoundProperties } from '#libs/domain';
import {
  type ExtensionFile,
  type FileReader,
  InspectionExtensions,
  InspectionFailed,
  Inspector,
  type Loadable,
} from '#libs/inspection';
import type { InspectedContent } from './content-costs.repository.js';
import { ContentInspector, tooLargeToCheck } from './content-inspector.js';
import { ProcessingMetrics } from './processing-metrics.js';

/** A file that passed the checks of the service. */
export interface AcceptableFile extends Omit<ExtensionFile, 'path'> {
  /** Null for a file that is too large for the disk space of inspections. */
  readonly path: string | null;
  /** The type that the bytes show. */
  readonly detected: string | null;
}

/** Results of the checks and readers of features; without any registered, nothing. */
export interface FeatureFindings {
  /** The registered checks, with their revisions. The file passed those of its types. */
  readonly passedChecks?: string[];
  /** The registered readers, with their revisions. */
  readonly readBy?: string;
  readonly featureProperties?: FeatureProperties;
}

/** Runs the content checks and file readers of features. */
@Injectable()
export class FeatureInspection {
  constructor(
    private readonly extensions: InspectionExtensions,
    private readonly contentInspector: ContentInspector,
    private readonly inspector: Inspector,
    private readonly metrics: ProcessingMetrics,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(FeatureInspection.name);
  }

  /**
   * Runs all checks of the file's types, then all readers. A check that fails to run fails the attempt, since no unchecked file
   * may be stored. A reader that fails leaves its properties out.
   * @throws StowageError rejected, with the reason of a check or TOO_COSTLY; unavailable
   * @throws InspectionFailed when a check failed and another attempt may succeed
   */
  async inspect(
    { path, detected, ...file }: AcceptableFile,
    content: InspectedContent,
    signal?: AbortSignal,
  ): Promise<FeatureFindings> {
    if (this.extensions.isEmpty) return {};
    const { checkLabels, readerLabel } = this.extensions;
    for (const check of this.extensions.checksOf(file.mediaType, detected)) {
      if (path === null) throw tooLargeToCheck();
      await this.contentInspector.check(check, { ...file, path }, content, signal);
    }
    const readers = path === null ? [] : this.extensions.readersOf(file.mediaType);
    return {
      ...(checkLabels.length > 0 && { passedChecks: checkLabels }),
      ...(readerLabel !== '' && { readBy: readerLabel }),
      ...(path !== null && { featureProperties: await this.read(readers, { ...file, path }, signal) }),
    };
  }

  /**
   * Reads a file by these readers. @returns the properties of the readers that did not fail, also if a reader found none
   * @throws StowageError unavailable; the signal's reason
   */
  async read(
    readers: readonly Loadable<FileReader>[],
    file: ExtensionFile,
    signal?: AbortSignal,
  ): Promise<FeatureProperties> {
    const found: Record<string, FoundProperties> = {};
    for (const reader of readers) {
      const properties = await this.readBy(reader, file, signal);
      if (properties !== null) found[reader.id] = properties;
    }
    return found;
  }

  /** @returns null when the reader failed */
  private async readBy(
    reader: Loadable<FileReader>,
    file: ExtensionFile,
    signal?: AbortSignal,
  ): Promise<FoundProperties | null> {
    try {
      const { properties, dropped } = await this.inspector.read(reader, file, signal);
      if (dropped > 0) this.logger.warn({ reader: reader.id, dropped }, 'invalid properties dropped');
      this.metrics.readByFeature(reader.id, dropped > 0 ? 'invalid' : 'read');
      return properties;
    } catch (err) {
      if (!(err instanceof InspectionFailed)) throw err;
      this.logger.warn({ err, reader: reader.id }, 'file not read by a feature');
      this.metrics.readByFeature(reader.id, 'failed');
      return null;
    }
  }
}
