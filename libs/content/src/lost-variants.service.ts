import { Injectable } from '@nestjs/common';
import { Database, type ObjectVariant, statement } from '#libs/database';
import type { TaskContext, TaskStep } from '#libs/runtime';
import { IntegrityFindingsService } from './integrity-findings.service.js';

const PAGE = 1_000;
const DETAIL = 'The row of the variant was lost.';

interface ObjectsPage {
  /** Null at the end. */
  readonly last: bigint | null;
  /** Ids of objects that record a variant of which they have no row. */
  readonly lacking: readonly string[];
}

/**
 * The specifications in `variant_specs` precede a digest of their names; see `specsText`. A worker that builds the variants of an object
 * changes the rows first, so its objects are left out. With a reason there are no variants.
 */
const LOST = (objects: string, now: string) => `select o.id, s.spec from ${objects} o
    cross join lateral string_to_array(o.variant_specs, ' ') as a (specs)
    cross join lateral unnest(a.specs[:cardinality(a.specs) - 1]) as s (spec)
  where o.state = 'LIVE' and o.variants_reason is null and (o.claimed_until is null or o.claimed_until < ${now})
    and not exists (select from object_variants v where v.stored_object_id = o.id and v.spec = s.spec)`;

export const LACKING_VARIANTS = statement<ObjectsPage>(
  'variants_lacking',
  `with page as (
      select id, state, variant_specs, variants_reason, claimed_until from stored_objects where id > $1 order by id limit $2)
    select max(id) as last, array(select distinct l.id::text from (${LOST('page', '$3::timestamptz')}) l) as lacking
    from page`,
);

/** Another text than the configured one makes the task `variants` build the missing ones. */
const FORGET_LOST = statement<Pick<ObjectVariant, 'spec'>>(
  'variants_forget_lost',
  `with locked as (select * from stored_objects where id = $1 for update),
    lost as (${LOST('locked', '$2::timestamptz')}),
    forgotten as (update stored_objects set variant_specs = '' where id = (select id from lost limit 1))
    select spec from lost order by spec`,
);

/** Finds pictures that lost the row of a variant, so that it is built again. */
@Injectable()
export class LostVariantsService {
  constructor(
    private readonly database: Database,
    private readonly findings: IntegrityFindingsService,
  ) {}

  /** Steps for all stored objects, which other steps count as examined. The cursor is the id of the last one. */
  async *steps({ now, cursor }: Pick<TaskContext, 'now' | 'cursor'>): AsyncGenerator<TaskStep> {
    let after = BigInt(cursor ?? 0);
    for (;;) {
      const { last, lacking } = await this.page(after, now);
      if (last === null) return;
      for (const id of lacking) yield this.step(BigInt(id), now);
      yield { cursor: String(last), examined: 0 };
      after = last;
    }
  }

  private async page(after: bigint, now: Date): Promise<ObjectsPage> {
    return (await this.database.query(LACKING_VARIANTS, [after, PAGE, now]))[0]!;
  }

  private step(id: bigint, now: Date): TaskStep {
    const perform = async () => {
      const lost = await this.database.query(FORGET_LOST, [id, now]);
      for (const { spec } of lost) {
        const subject = `variant ${id}/${spec}`;
        const finding = { problem: 'MISSING' as const, subject, storedObjectId: id, detail: DETAIL };
        await this.findings.report({ ...finding, repaired: true }, now);
      }
      return lost.length > 0;
    };
    return {
      examined: 0,
      subject: { storedObject: String(id) },
      examine: () => ({ action: 'rebuild', subject: `variants of object ${id}`, detail: DETAIL, perform }),
    };
  }
}
