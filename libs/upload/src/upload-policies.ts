import { Injectable, type OnModuleInit } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { Asset } from '#libs/assets';
import type { Tx } from '#libs/database';
import { type Actor, StowageError, unavailable } from '#libs/domain';
import { classContribution, Contributions } from '#libs/runtime';
import type { ParsedUploadRequest } from './upload-request.js';

/** A provider with the decorator {@link UploadPolicy}. */
export interface UploadPolicyHandler {
  /**
   * Refuses an upload by throwing a StowageError. Its reason is stable, in upper snake case, and begins with the name of the
   * feature; its path begins with `input`. Any other error refuses the upload as INTERNAL_SERVER_ERROR, and an answer that takes
   * longer than 10 seconds as UNAVAILABLE.
   *
   * Runs for each valid request before quota is reserved, also if the owner already has the bytes, and concurrently for the items
   * of a batch. Must have no effects: a request may be refused for another reason, or be repeated. A repeated idempotency key
   * returns the asset of the first request even if the policy refuses now, so that clients can always retry.
   */
  check(actor: Actor, request: ParsedUploadRequest): void | Promise<void>;
  /**
   * Writes the feature's own tables in the transaction that creates the asset. The asset is PENDING, or READY if it shares bytes
   * of another asset of its owner. An error rolls the asset and its reservation back and refuses the upload like an error of
   * {@link check}. May run several times for one asset, because the transaction is repeated after a deadlock. Must not call
   * other services, and must not lock assets, stored objects or quotas.
   *
   * Without this method all uploads of a request, and those of concurrent requests, are one prepared statement. With it in any
   * policy, each upload is a transaction of its own, of at least five round trips, and holds the lock on its owner's quota
   * meanwhile.
   */
  created?(tx: Tx, asset: Asset): Promise<void>;
}

/**
 * Class decorator of a provider in a module of the API that may refuse uploads. The option is the name of the policy: the name
 * of the feature, a dot and a name in lower case, which log lines and errors at the start contain.
 * @example
 * @Injectable()
 * @UploadPolicy('albums.images-only')
 * export class ImagesOnly implements UploadPolicyHandler {
 *   check(_: Actor, { mimeType, metadata }: ParsedUploadRequest): void {
 *     if (mimeType.startsWith('image/') || !metadata.some(({ key }) => key === 'album')) return;
 *     throw invalid('ALBUMS_IMAGES_ONLY', 'Albums accept only images.', ['input', 'mimeType']);
 *   }
 * }
 */
export const UploadPolicy = classContribution<string, UploadPolicyHandler>('UploadPolicy');

interface Policy {
  readonly name: string;
  readonly handler: UploadPolicyHandler;
}

interface Policies {
  readonly all: readonly Policy[];
  /** Those with `created`. */
  readonly writers: readonly Policy[];
}

const NAME = /^(?=.{1,64}$)[a-z][a-z0-9]*([.-][a-z0-9]+)*$/;
const CHECK_TIMEOUT_MS = 10_000;

/** An error of {@link UploadPolicyHandler.created}, which rolls its transaction back. */
class PolicyError extends Error {
  constructor(
    readonly policy: Policy,
    override readonly cause: unknown,
  ) {
    super(`The upload policy ${policy.name} refused a new asset.`, { cause });
  }
}

/** Asks the policies of all modules of the process. */
@Injectable()
export class UploadPolicies implements OnModuleInit {
  private found: Policies | undefined;

  constructor(
    private readonly contributions: Contributions,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(UploadPolicies.name);
  }

  /** @throws Error if a name is invalid, or two policies have one name */
  onModuleInit(): void {
    this.found ??= findPolicies(this.contributions);
  }

  /** Never empty because the module is not initialized, so that no upload passes without its policies. */
  private get policies(): Policies {
    return (this.found ??= findPolicies(this.contributions));
  }

  /** Whether a policy writes in the transaction that creates an asset. */
  get hasWriters(): boolean {
    return this.policies.writers.length > 0;
  }

  /** The error of the first policy that refuses the request, in the order of the modules; null if none does. */
  async check(actor: Actor, request: ParsedUploadRequest): Promise<StowageError | null> {
    for (const policy of this.policies.all) {
      try {
        const answer = policy.handler.check(actor, request);
        if (answer !== undefined) await inTime(answer);
      } catch (error) {
        return this.refusal(policy, error);
      }
    }
    return null;
  }

  /** Lets the policies write in the transaction that has created the asset. @throws an error for {@link refusalOf} */
  async created(tx: Tx, asset: Asset): Promise<void> {
    for (const policy of this.policies.writers) {
      try {
        await policy.handler.created!(tx, asset);
        // After a failed statement whose error the policy ignored, PostgreSQL would roll back at the commit without an error.
        await tx.$queryRaw`select 1`;
      } catch (error) {
        throw new PolicyError(policy, error);
      }
    }
  }

  /** The refusal in an error of a transaction that called {@link created}; null for the errors of others. */
  refusalOf(error: unknown): StowageError | null {
    return error instanceof PolicyError ? this.refusal(error.policy, error.cause) : null;
  }

  private refusal({ name: policy }: Policy, err: unknown): StowageError {
    if (err instanceof StowageError && err.kind !== 'internal') {
      this.logger.debug({ policy, reason: err.reason }, 'upload refused');
      return err;
    }
    this.logger.error({ err, policy }, 'upload policy failed');
    const message = 'Something went wrong on our side.';
    return new StowageError('internal', 'UPLOAD_POLICY_FAILED', message, { cause: err });
  }
}

function findPolicies(contributions: Contributions): Policies {
  const sources = new Map<string, string>();
  const all = contributions.classes(UploadPolicy).map(({ options: name, instance, source }) => {
    const other = sources.get(name);
    if (!NAME.test(name)) {
      throw new Error(`The upload policy ${source} needs a name such as albums.images-only, not ${name}.`);
    }
    if (other !== undefined)
      throw new Error(`Two upload policies are named ${name}: ${other} and ${source}.`);
    sources.set(name, source);
    return { name, handler: instance };
  });
  return { all, writers: all.filter(({ handler }) => handler.created !== undefined) };
}

/** @throws StowageError unavailable UPLOAD_POLICY_TIMEOUT */
async function inTime(answer: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const error = unavailable(
      'UPLOAD_POLICY_TIMEOUT',
      'The upload could not be checked in time. Try again later.',
    );
    timer = setTimeout(reject, CHECK_TIMEOUT_MS, error);
  });
  try {
    await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
