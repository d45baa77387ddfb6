import { Injectable } from '@nestjs/common';
import {
  type ContentCheck,
  type ExtensionFile,
  type Inspection,
  InspectionFailed,
  type InspectionRequest,
  Inspector,
  type Loadable,
} from '#libs/inspection';
import { ContentCostsRepository, type InspectedContent } from './content-costs.repository.js';
import { rejected } from './verify.js';

/** One timeout may be caused by a busy machine; a second one is attributed to the content. */
const MAX_EXHAUSTED = 2;

/**
 * Inspects content at most twice if its readers exceed their time limits. After that, all assets with these bytes are rejected
 * without another inspection, until the configured limits change.
 */
@Injectable()
export class ContentInspector {
  constructor(
    private readonly costs: ContentCostsRepository,
    private readonly inspector: Inspector,
  ) {}

  /**
   * @param content its SHA-256 must be verified: with a declared one, a client could have the bytes of others rejected
   * @throws StowageError rejected TOO_COSTLY; unavailable
   * @throws InspectionFailed when another attempt may succeed
   */
  async inspect(
    request: InspectionRequest,
    content: InspectedContent,
    signal?: AbortSignal,
  ): Promise<Inspection> {
    return this.limited(content, this.inspector.limits, () => this.inspector.inspect(request, signal));
  }

  /**
   * Runs a content check of a feature.
   * @throws StowageError rejected, with the reason of the check or TOO_COSTLY; unavailable
   * @throws InspectionFailed when another attempt may succeed
   */
  async check(
    check: Loadable<ContentCheck>,
    file: ExtensionFile,
    content: InspectedContent,
    signal?: AbortSignal,
  ): Promise<void> {
    const limits = `${this.inspector.secondsOf(check.seconds)} s, ${check.id}@${check.revision}`;
    const objection = await this.limited(content, limits, () =>
      this.inspector.findObjection(check, file, signal),
    );
    if (objection !== null) throw rejected(objection.reason, objection.message);
  }

  /** @param limits the limits of the work, in at most 64 characters; a count under other limits restarts */
  private async limited<T>(content: InspectedContent, limits: string, work: () => Promise<T>): Promise<T> {
    const exhausted = await this.costs.count(content, limits);
    if (exhausted >= MAX_EXHAUSTED) throw tooCostly();
    try {
      const found = await work();
      if (exhausted > 0) await this.costs.forget(content);
      return found;
    } catch (error) {
      if (!(error instanceof InspectionFailed) || !error.isExhausted) throw error;
      throw (await this.costs.add(content, limits)) >= MAX_EXHAUSTED ? tooCostly() : error;
    }
  }
}

const tooCostly = () => rejected('TOO_COSTLY', 'Reading the file takes longer than this service allows.');

/** Features cannot check such a file, so it is not stored. */
export const tooLargeToCheck = () =>
  rejected('TOO_COSTLY', 'The file is too large to be checked by this service.');
