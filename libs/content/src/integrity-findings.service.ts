import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Database, type IntegrityFinding, statement, type Tx } from '#libs/database';

export type { IntegrityFinding };

/** A difference between the database, its counts and the buckets. */
export type NewFinding = Pick<IntegrityFinding, 'problem' | 'subject' | 'detail'> &
  Partial<Pick<IntegrityFinding, 'bucket' | 'objectKey' | 'assetId' | 'storedObjectId'>> & {
    /** Whether the difference is repaired already. */
    readonly repaired?: boolean;
  };

/** Identifies an open finding. */
export type OpenFinding = Pick<IntegrityFinding, 'subject' | 'problem'>;

const REPORT = statement<Pick<IntegrityFinding, 'id'>>(
  'findings_report',
  `insert into integrity_findings (problem, subject, bucket, object_key, asset_id, stored_object_id, detail, repaired, found_at, repaired_at)
    values ($1::integrity_problem, $2, $3, $4, $5, $6, left($7, 512), $8::boolean, $9::timestamptz,
      case when $8::boolean then $9::timestamptz end)
    on conflict (subject, problem) where not repaired do nothing returning id`,
);

const REPAIRED = statement<Pick<IntegrityFinding, 'id'>>(
  'findings_repaired',
  `update integrity_findings set repaired = true, repaired_at = $3 where subject = $1 and problem = $2::integrity_problem and not repaired
    returning id`,
);

const FIND_OPEN = statement<Pick<IntegrityFinding, 'subject'>>(
  'findings_open',
  `select subject from integrity_findings where problem = $1::integrity_problem and not repaired and subject = any($2::text[])`,
);

const REMOVE = statement<Pick<IntegrityFinding, 'id'>>(
  'findings_remove',
  `delete from integrity_findings where id in (
      select id from integrity_findings where repaired and repaired_at < $1 order by repaired_at limit $2)
    returning id`,
);

/** Findings of the integrity tasks, for operators. */
@Injectable()
export class IntegrityFindingsService {
  constructor(
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(IntegrityFindingsService.name);
  }

  /**
   * Records a finding, unless the same problem of the subject is open.
   * @param tx the transaction of the repair
   * @returns whether it was recorded
   * @throws StowageError unavailable
   */
  async report(finding: NewFinding, now: Date, tx?: Tx): Promise<boolean> {
    const {
      problem,
      subject,
      bucket,
      objectKey,
      assetId,
      storedObjectId,
      detail,
      repaired = false,
    } = finding;
    const values = [problem, subject, bucket, objectKey, assetId, storedObjectId, detail, repaired, now];
    const isNew = (await this.database.query(REPORT, values, tx)).length > 0;
    if (isNew) this.logger.error({ problem, subject, repaired }, 'integrity problem found');
    return isNew;
  }

  /** Closes an open finding. @returns whether there was one @throws StowageError unavailable */
  async close({ subject, problem }: OpenFinding, now: Date): Promise<boolean> {
    const isClosed = (await this.database.query(REPAIRED, [subject, problem, now])).length > 0;
    if (isClosed) this.logger.info({ problem, subject }, 'integrity problem repaired');
    return isClosed;
  }

  /** Open findings after an id, oldest first. @throws StowageError unavailable */
  open(after: bigint, limit: number): Promise<IntegrityFinding[]> {
    const where = { repaired: false, id: { gt: after } };
    return this.database.read((prisma) =>
      prisma.integrityFinding.findMany({ where, orderBy: { id: 'asc' }, take: limit }),
    );
  }

  /** Those of the subjects that have an open finding of this problem. @throws StowageError unavailable */
  async findOpen(problem: NewFinding['problem'], subjects: readonly string[]): Promise<ReadonlySet<string>> {
    const rows = await this.database.query(FIND_OPEN, [problem, subjects]);
    return new Set(rows.map(({ subject }) => subject));
  }

  /** Findings before an id, newest first. @throws StowageError unavailable */
  list(before: bigint | undefined, limit: number): Promise<IntegrityFinding[]> {
    const where = { id: before === undefined ? undefined : { lt: before } };
    return this.database.read((prisma) =>
      prisma.integrityFinding.findMany({ where, orderBy: { id: 'desc' }, take: limit }),
    );
  }

  /** Number of findings that {@link remove} removes. */
  countRepaired(before: Date): Promise<number> {
    const where = { repaired: true, repairedAt: { lt: before } };
    return this.database.read((prisma) => prisma.integrityFinding.count({ where }));
  }

  /** Removes findings that were repaired before a time, `limit` at most. */
  async remove(before: Date, limit: number): Promise<number> {
    return (await this.database.query(REMOVE, [before, limit])).length;
  }
}
