import type { Tx } from '#libs/database';
import { ASSET_EVENT_TYPES, type AssetEventType, type DomainEvent } from '#libs/domain';
import { type ContributedMethod, methodContribution } from '#libs/runtime';

/** An event as a consumer receives it. Later events of an asset have higher ids. */
export interface AssetEvent extends DomainEvent {
  readonly id: bigint;
}

/** Handles an event in the transaction that records the event as handled. */
export type AssetEventHandler = (event: AssetEvent, tx: Tx) => Promise<void>;

/** Options of {@link OnAssetEvent}. */
export interface ConsumerOptions {
  /** The first events of a new consumer: those after its registration (default), or all retained ones. */
  readonly from?: 'now' | 'beginning';
  /** Maximum number of events that one worker handles concurrently, 1 to 32, of different assets. Default: 4. */
  readonly concurrency?: number;
}

/** The declaration of a consumer. */
export interface ConsumerDeclaration extends Required<ConsumerOptions> {
  readonly name: string;
  readonly types: readonly AssetEventType[];
}

export type EventConsumer = ConsumerDeclaration & Pick<ContributedMethod<never, AssetEventHandler>, 'call'>;

/** The decorator behind {@link OnAssetEvent}. */
export const CONSUMER = methodContribution<ConsumerDeclaration, AssetEventHandler>('OnAssetEvent');

/**
 * Marks the method that handles events of assets, for a provider of a module of the worker. Each event reaches each consumer at least
 * once, and the events of one asset in their order: a later one waits until the earlier one was handled or became a dead letter.
 * Events of other assets and other consumers do not wait.
 *
 * The method writes through `tx` and has 10 s. Its writes are committed together with the fact that the event was handled, so they
 * happen exactly once. Other effects may happen again: the method is repeated after an error, a crash of the worker or a
 * deadlock. An error that it throws is not to be hidden: 8 attempts, with pauses that double from a second, end in a dead letter of
 * source `events:<consumer>`. A StowageError of kind `unavailable` uses up no attempt.
 * @param consumer stable name of the feature and the consumer, such as `albums.log`; at most 57 characters
 * @param types never change under one name; give a consumer of other types another name
 * @example
 * @OnAssetEvent('albums.log', BECAME_READY)
 * async addToLog({ assetId, ownerId }: AssetEvent, tx: Tx): Promise<void> {
 *   await tx.albumLog.create({ data: { assetId, ownerId } });
 * }
 */
export const OnAssetEvent = (
  consumer: string,
  types: readonly AssetEventType[],
  { from = 'now', concurrency = 4 }: ConsumerOptions = {},
) => CONSUMER({ name: consumer, types, from, concurrency });

/** `events:` and the name are the source of a dead letter, which has 64 characters. */
const MAX_NAME = 57;
const NAME = /^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$/;
const MAX_CONCURRENCY = 32;
const TYPES = new Set<string>(ASSET_EVENT_TYPES);

/** Conditions of a valid declaration, each with the end of the sentence for a declaration that breaks it. */
const RULES: readonly [(declaration: ConsumerDeclaration) => boolean, string][] = [
  [
    ({ name }) => NAME.test(name) && name.length <= MAX_NAME,
    `must have a name such as albums.log, of at most ${MAX_NAME} characters`,
  ],
  [({ types }) => types.length > 0, 'must have a type'],
  [({ types }) => types.every((type) => TYPES.has(type)), 'has an unknown type'],
  [({ types }) => new Set(types).size === types.length, 'has a type twice'],
  [({ from }) => from === 'now' || from === 'beginning', `must start from 'now' or from the 'beginning'`],
  [
    ({ concurrency }) => Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= MAX_CONCURRENCY,
    `must have a concurrency from 1 to ${MAX_CONCURRENCY}`,
  ],
];

/** @throws Error if a declaration is invalid or two consumers have one name */
export function consumersOf(
  found: readonly ContributedMethod<ConsumerDeclaration, AssetEventHandler>[],
): readonly EventConsumer[] {
  const sources = new Map<string, string>();
  return found.map(({ options, call, source }) => {
    for (const [holds, problem] of RULES)
      if (!holds(options)) throw new Error(`The event consumer ${options.name} (${source}) ${problem}.`);
    const other = sources.get(options.name);
    if (other !== undefined)
      throw new Error(`Two event consumers are named ${options.name}: ${other} and ${source}.`);
    sources.set(options.name, source);
    return { ...options, call };
  });
}
