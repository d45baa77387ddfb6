import { Variable, Whole } from '#libs/runtime';

export class EventsConfig {
  /** Days for which delivered events are kept, and a consumer that no worker runs. */
  @Variable('EVENT_RETENTION_DAYS')
  @Whole(1, 3650)
  readonly retentionDays: number = 30;
}
