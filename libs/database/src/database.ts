import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { kindOf, StowageError, unavailable } from '#libs/domain';
import { HealthCheck, waitFor } from '#libs/runtime';
import { DatabaseConfig } from './database.config.js';
import { Prisma, PrismaClient } from './generated/client.js';
import { type Statement, statement } from './statement.js';

/** Client through which a repository writes: the Prisma client itself or the caller's transaction. */
export type Tx = Prisma.TransactionClient;

const LOCK_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_ATTEMPTS = 5;

/** Reads int8 as bigint, which is Prisma's type for it too; pg's default is a string. Prisma has parsers of its own. */
const TYPES = {
  getTypeParser: (oid: number, format?: 'text') =>
    oid === Number(pg.types.builtins.INT8) ? BigInt : (pg.types.getTypeParser(oid, format) as unknown),
} as pg.CustomTypesConfig;

/** Deadlock and serialization failure: the transaction was rolled back and can be retried. */
const RETRYABLE = new Set(['40001', '40P01', 'P2034']);
/**
 * SQLSTATE classes 08, 53, 57 and lock timeouts (https://www.postgresql.org/docs/current/errcodes-appendix.html), the
 * client's connection errors, and the corresponding errors of Prisma (P1xxx, P2024, P2028).
 */
const UNAVAILABLE_CODE = /^(08...|53...|57...|55P03|25P03|25006|E[A-Z]+|P10\d\d|P2024|P2028)$/;
const UNAVAILABLE_MESSAGE =
  /timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client has encountered a connection error/;

/** Collects the SQLSTATEs and client codes of an error; Prisma and pg put them into different properties. */
function codesOf(error: unknown): string[] {
  const found: string[] = [];
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < 6; depth++) {
    const { code, originalCode, cause, meta } = at as Record<string, unknown>;
    for (const value of [code, originalCode]) if (typeof value === 'string') found.push(value);
    at = cause ?? (meta as { driverAdapterError?: unknown } | undefined)?.driverAdapterError;
  }
  return found;
}

/** Whether the database rejected a row because another row has its unique key. */
export const isUniqueViolation = (error: unknown) =>
  codesOf(error).some((code) => code === '23505' || code === 'P2002');

/** Whether the database rejected a row because the referenced row does not exist. */
export const isForeignKeyViolation = (error: unknown) =>
  codesOf(error).some((code) => code === '23503' || code === 'P2003');

/** Whether Prisma reported the error, or an error that caused it. StowageErrors count, since they have a meaning of their own. */
function isDatabaseError(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Object && depth < 6; depth++) {
    if (at instanceof StowageError || 'clientVersion' in at) return true;
    at = (at as { cause?: unknown }).cause;
  }
  return false;
}

const UNDEFINED_TABLE = '42P01';

const APPLIED_MIGRATIONS = statement<{ readonly name: string }>(
  'applied_migrations',
  'select migration_name as name from _prisma_migrations where finished_at is not null and rolled_back_at is null',
);

type Effect = () => unknown;

/** Hides the code of an error of a transaction's own work, such as ENOENT, which would count as an outage of the database. */
class WorkError extends Error {
  constructor(readonly thrown: unknown) {
    super('The work of a transaction failed.');
  }
}

/** The effects of the open transactions. */
const EFFECTS = new WeakMap<Tx, Effect[]>();

/**
 * Runs `effect` after the commit of a transaction, in the order of the calls, before `Database.transaction` returns. An effect of a
 * transaction that is rolled back does not run, nor one of an attempt that is retried. The process may end after the commit and
 * before the effect, so an effect is for hints, such as a cache to empty; `@OnAssetEvent` is for work that must happen. An effect
 * that throws or rejects is logged; the caller does not wait for its promise.
 * @throws Error if `tx` is not the transaction of a running `Database.transaction`
 * @example
 * await database.transaction(async (tx) => {
 *   await tx.album.delete({ where: { id } });
 *   afterCommit(tx, () => this.covers.delete(id));
 * });
 */
export function afterCommit(tx: Tx, effect: Effect): void {
  const effects = EFFECTS.get(tx);
  if (effects === undefined)
    throw new Error('afterCommit needs the transaction of a running Database.transaction.');
  effects.push(effect);
}

async function runEffect(effect: Effect): Promise<void> {
  try {
    await effect();
  } catch (err) {
    new Logger(Database.name).error({ err }, 'effect after a commit failed');
  }
}

/**
 * PostgreSQL with one pool for Prisma and for the few hot statements as prepared SQL. A database that is down or
 * overloaded causes an `unavailable` StowageError (reason DATABASE_UNAVAILABLE).
 */
@Injectable()
export class Database implements OnModuleInit, OnApplicationShutdown {
  readonly pool: pg.Pool;
  readonly prisma: PrismaClient;
  private readonly connection: pg.ClientConfig;
  private readonly migrations: readonly string[];

  constructor({ url, poolSize, statementTimeoutMs, migrations }: DatabaseConfig) {
    this.migrations = migrations;
    this.connection = {
      connectionString: url,
      // Prisma reads times as if they were UTC.
      options: '-c TimeZone=UTC',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: statementTimeoutMs,
      lock_timeout: LOCK_TIMEOUT_MS,
      idle_in_transaction_session_timeout: 15_000,
      // Client-side limit: the server's limits have no effect if the connection is silently dead.
      query_timeout: statementTimeoutMs + 5_000,
      keepAlive: true,
    };
    this.pool = new pg.Pool({ ...this.connection, types: TYPES, max: poolSize });
    // The pool replaces an idle connection that breaks; without a listener the process would crash.
    this.pool.on('error', () => undefined);
    this.prisma = new PrismaClient({
      adapter: new PrismaPg(this.pool),
      // Other formats quote the arguments, which contain client data.
      errorFormat: 'minimal',
      transactionOptions: { maxWait: CONNECT_TIMEOUT_MS, timeout: 15_000 },
    });
  }

  /**
   * Waits for the server.
   * @throws Error of a server that rejects the connection, e.g. a wrong password or missing database, or with one sentence
   * if a migration is missing
   */
  async onModuleInit(): Promise<void> {
    await waitFor(
      'PostgreSQL',
      () => this.ping(),
      (error) => kindOf(error) === 'unavailable',
    );
    if (this.migrations.length > 0) await this.verifyMigrations();
  }

  /** Closes the pool. Workers and subscribers have finished in earlier shutdown hooks. */
  async onApplicationShutdown(): Promise<void> {
    await this.prisma.$disconnect();
    await this.pool.end();
  }

  /** Checks the connection. @throws StowageError unavailable DATABASE_UNAVAILABLE */
  @HealthCheck('database')
  async ping(): Promise<void> {
    await this.run(() => this.pool.query('select 1'));
  }

  /** Creates a client outside of the pool, e.g. for LISTEN. The caller must connect and end it. */
  dedicated(applicationName: string): pg.Client {
    return new pg.Client({ ...this.connection, application_name: applicationName });
  }

  /**
   * Runs a prepared statement in its own transaction, or its text in the caller's transaction.
   * @throws StowageError unavailable DATABASE_UNAVAILABLE
   */
  async query<Row>(statement: Statement<Row>, values: readonly unknown[], tx?: Tx): Promise<Row[]> {
    if (tx !== undefined) return tx.$queryRawUnsafe<Row[]>(statement.text, ...values);
    const result = await this.run(() =>
      this.pool.query<Row & pg.QueryResultRow>({ ...statement, values: [...values] }),
    );
    return result.rows;
  }

  /** Runs `work` on the Prisma client without a transaction. @throws StowageError unavailable DATABASE_UNAVAILABLE */
  read<T>(work: (prisma: PrismaClient) => Promise<T>): Promise<T> {
    return this.run(() => work(this.prisma));
  }

  /**
   * Runs `work` in one READ COMMITTED transaction and retries it after a deadlock. `work` may run several times, so it
   * must have no effects outside of the database; see {@link afterCommit}. Throws other errors of `work` as they are.
   * @throws StowageError unavailable DATABASE_UNAVAILABLE
   * @example await database.transaction((tx) => tx.mediaAsset.update({ where, data }));
   */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.run(async () => {
      const effects: Effect[] = [];
      let open: Tx | undefined;
      const begin = async (tx: Tx) => {
        open = tx;
        EFFECTS.set(tx, effects);
        try {
          return await work(tx);
        } catch (error) {
          throw isDatabaseError(error) ? error : new WorkError(error);
        }
      };
      const result = await this.prisma.$transaction(begin).finally(() => open && EFFECTS.delete(open));
      for (const effect of effects) void runEffect(effect);
      return result;
    });
  }

  /** Adds connections to the pool, for work that holds them while it waits, so that other work keeps the configured number. */
  addConnections(count: number): void {
    this.pool.options.max += count;
  }

  private async verifyMigrations(): Promise<void> {
    const applied = await this.query(APPLIED_MIGRATIONS, []).catch((error: unknown) => {
      if (codesOf(error).includes(UNDEFINED_TABLE)) return [];
      throw error;
    });
    const names = new Set(applied.map(({ name }) => name));
    const missing = this.migrations.find((name) => !names.has(name));
    if (missing !== undefined) {
      throw new Error(
        `The database lacks the migration ${missing}. Apply the migrations with "npm run migrate" first.`,
      );
    }
  }

  private async run<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (error instanceof StowageError) throw error;
        if (error instanceof WorkError) throw error.thrown;
        const codes = codesOf(error);
        if (attempt < MAX_ATTEMPTS && codes.some((code) => RETRYABLE.has(code))) continue;
        if (
          codes.some((code) => UNAVAILABLE_CODE.test(code)) ||
          (error instanceof Error && UNAVAILABLE_MESSAGE.test(error.message))
        ) {
          throw unavailable('DATABASE_UNAVAILABLE', 'The database is not available. Try again later.', error);
        }
        throw error;
      }
    }
  }
}
