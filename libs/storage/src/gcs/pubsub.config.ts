import { IsOptional, IsString, MinLength } from 'class-validator';
import { Variable } from '#libs/runtime';

/** Subscriptions of a process that receives storage events. */
export class PubSubConfig {
  @Variable('PUBSUB_SUBSCRIPTION')
  @IsString()
  @MinLength(1)
  readonly subscription: string;

  /** Pub/Sub subscription of the dead letter topic. Without it, undeliverable notifications stay in Pub/Sub. */
  @Variable('PUBSUB_DEAD_LETTER_SUBSCRIPTION')
  @IsOptional()
  @IsString()
  readonly deadLetterSubscription?: string;

  @Variable('PUBSUB_EMULATOR_HOST')
  @IsOptional()
  @IsString()
  readonly emulator?: string;
}
