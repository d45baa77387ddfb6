import { Injectable } from '@nestjs/common';
import { Database, type Statement } from '#libs/database';
import { type Inspection, InspectionFailed, type InspectionRequest, Inspector } from '#libs/inspection';
import { rejected } from './verify.js';

/** One timeout may be caused by a busy machine; a second one is attributed to the content. */
const MAX_EXHAUSTED = 2;

interface CountRow {
  readonly exhausted: number;
}

const COUNT: Statement<CountRow> = {
  name: 'content_costs_count',
  text: 'select exhausted from content_costs where scope = $1 and sha256 = $2 and limits = $3',
};

const ADD: Statement<CountRow> = {
  name: 'content_costs_add',
  text: `insert into content_costs as c (scope, sha256, exhausted, limits, updated_at) values ($1, $2, 1, $3, now())
    on conflict (scope, sha256) do update set
      exhausted = case when c.limits = excluded.limits then c.exhausted + 1 else 1 end,
      limits = excluded.limits, updated_at = excluded.updated_at
    returning exhausted`,
};

const FORGET: Statement<never> = {
  name: 'content_costs_forget',
  text: 'delete from content_costs where scope = $1 and sha256 = $2',
};

/** Verified bytes and their dedupe scope. */
export interface InspectedContent {
  readonly scope: string;
  readonly sha256: string;
}

/**
 * Inspects content at most twice if its readers exceed their time limits. After that, all assets with these bytes are rejected
 * without another inspection, until the configured limits change.
 */
@Injectable()
export class ContentInspector {
  constructor(
    private readonly database: Database,
    private readonly inspector: Inspector,
  ) {}

  /**
   * @param content its SHA-256 must be verified: with a declared one, a client could have the bytes of others rejected
   * @throws StowageError rejected TOO_COSTLY; unavailable
   * @throws InspectionFailed when another attempt may succeed
   */
  async inspect(
    request: InspectionRequest,
    { scope, sha256 }: InspectedContent,
    signal?: AbortSignal,
  ): Promise<Inspection> {
    const key = [scope, sha256, this.inspector.limits];
    const [row] = await this.database.query(COUNT, key);
    if (row !== undefined && row.exhausted >= MAX_EXHAUSTED) throw tooCostly();
    try {
      const found = await this.inspector.inspect(request, signal);
      if (row !== undefined) await this.database.query(FORGET, [scope, sha256]);
      return found;
    } catch (error) {
      if (!(error instanceof InspectionFailed) || !error.isExhausted) throw error;
      const [added] = await this.database.query(ADD, key);
      throw added !== undefined && added.exhausted >= MAX_EXHAUSTED ? tooCostly() : error;
    }
  }
}

const tooCostly = () => rejected('TOO_COSTLY', 'Reading the file takes longer than this service allows.');
