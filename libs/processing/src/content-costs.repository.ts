import { Injectable } from '@nestjs/common';
import { type ContentCost, Database, statement } from '#libs/database';

/** Verified bytes and their dedupe scope. */
export type InspectedContent = Pick<ContentCost, 'scope' | 'sha256'>;

const COUNT = statement<Pick<ContentCost, 'exhausted'>>(
  'content_costs_count',
  'select exhausted from content_costs where scope = $1 and sha256 = $2 and limits = $3',
);

const ADD = statement<Pick<ContentCost, 'exhausted'>>(
  'content_costs_add',
  `insert into content_costs as c (scope, sha256, exhausted, limits, updated_at) values ($1, $2, 1, $3, now())
    on conflict (scope, sha256) do update set
      exhausted = case when c.limits = excluded.limits then c.exhausted + 1 else 1 end,
      limits = excluded.limits, updated_at = excluded.updated_at
    returning exhausted`,
);

/** How often readers exceeded their time limits on the same content. */
@Injectable()
export class ContentCostsRepository {
  constructor(private readonly database: Database) {}

  /** The count under these limits. */
  async count({ scope, sha256 }: InspectedContent, limits: string): Promise<number> {
    const [row] = await this.database.query(COUNT, [scope, sha256, limits]);
    return row?.exhausted ?? 0;
  }

  /** Increments the count, or restarts it if the limits have changed. @returns the new count */
  async add({ scope, sha256 }: InspectedContent, limits: string): Promise<number> {
    const [row] = await this.database.query(ADD, [scope, sha256, limits]);
    return row!.exhausted;
  }

  async forget({ scope, sha256 }: InspectedContent): Promise<void> {
    const where = { scope, sha256 };
    await this.database.read((prisma) => prisma.contentCost.deleteMany({ where }));
  }
}
