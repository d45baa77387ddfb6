import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { AssetJobsService, AssetsService, AssetTransitionsService } from '#libs/assets';
import { Clock } from '#libs/database';
import { type DeadLetter, DeadLettersService, OnDeadLetterRetry, PROCESS_QUEUE } from '#libs/queue';

/** Retries FAILED assets when an operator asks for it. */
@Injectable()
export class FailedAssetRetryService {
  constructor(
    private readonly assets: AssetsService,
    private readonly transitions: AssetTransitionsService,
    private readonly deadLetters: DeadLettersService,
    private readonly jobs: AssetJobsService,
    private readonly logger: PinoLogger,
    private readonly clock: Clock,
  ) {
    logger.setContext(FailedAssetRetryService.name);
  }

  /** Starts one more attempt. @returns false when the asset is not FAILED any more, or the dead letter is not OPEN any more */
  @OnDeadLetterRetry(PROCESS_QUEUE)
  async retry(letter: DeadLetter): Promise<boolean> {
    const asset = letter.assetId === null ? null : await this.assets.findWithoutAccessCheck(letter.assetId);
    if (asset?.status !== 'FAILED' || asset.claimedGeneration === null) return false;
    const close = (tx: Parameters<DeadLettersService['close']>[0]) =>
      this.deadLetters.close(tx, letter.id, 'RETRIED');
    if (!(await this.transitions.revive(asset, this.clock.now(), close))) return false;
    await this.jobs.enqueue([{ ...asset, attempt: asset.attempt + 1 }]);
    this.logger.info({ assetId: asset.id, reqId: asset.requestId }, 'failed asset retried');
    return true;
  }
}
