import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { kindOf, StowageError, unavailable } from '#libs/domain';
import { waitFor } from '#libs/runtime';
import { Prisma, PrismaClient } from './generated/client.js';

export interface DatabaseOptions {
  readonly url: string;
  /** Connections this process may hold; default 10. */
  readonly poolSize?: number;
  /** How far this process's clock may be off the database's, seconds; default 30. */
  readonly clockLimitSeconds?: number;
  /** How long a statement may run, milliseconds; default 10,000. */
  readonly statementTimeoutMs?: number;
}

export const DATABASE_OPTIONS = Symbol('DATABASE_OPTIONS');

/** What a repository writes through: the client itself, or the transaction that the caller is in. */
export type Tx = Prisma.TransactionClient;

/** A hot statement: parsed and planned once per connection. `Row` is what it returns, one object per row. */
export interface Statement<Row> {
  readonly name: string;
  readonly text: string;
  /** Never set; carries the row type. */
  readonly row?: Row;
}

const LOCK_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_TRIES = 5;

/** Deadlock, serialization failure: nothing was done, the same transaction may be run again. */
const TRY_AGAIN = new Set(['40001', '40P01', 'P2034']);
/**
 * Classes 08, 53, 57 and lock time-outs (https://www.postgresql.org/docs/current/errcodes-appendix.html), the client's
 * own connection errors, and Prisma's for the same (P1xxx, P2024, P2028).
 */
const DOWN = /^(08...|53...|57...|55P03|25P03|25006|E[A-Z]+|P10\d\d|P2024|P2028)$/;
const DOWN_MESSAGE =
  /timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client has encountered a connection error/;

/** SQLSTATE or client code of a failure, wherever Prisma or pg put it. */
function codesOf(error: unknown): string[] {
  const found: string[] = [];
  for (let at = error, depth = 0; at instanceof Object && depth < 6; depth++) {
    const { code, originalCode, cause, meta } = at as Record<string, unknown>;
    for (const value of [code, originalCode]) if (typeof value === 'string') found.push(value);
    at = cause ?? (meta as { driverAdapterError?: unknown } | undefined)?.driverAdapterError;
  }
  return found;
}

/** Whether the database refused a row because one with the same key is there. */
export const isUniqueViolation = (error: unknown) =>
  codesOf(error).some((code) => code === '23505' || code === 'P2002');

/** Whether the database refused a row because what it points at is not there. */
export const isForeignKeyViolation = (error: unknown) =>
  codesOf(error).some((code) => code === '23503' || code === 'P2003');

/**
 * PostgreSQL, through Prisma for everything and through prepared SQL for the few hot statements; one pool for both.
 * A database that is down or too busy is an `unavailable` StowageError (reason DATABASE_UNAVAILABLE).
 */
@Injectable()
export class Database implements OnModuleInit, OnApplicationShutdown {
  readonly pool: pg.Pool;
  readonly prisma: PrismaClient;
  private readonly connection: pg.ClientConfig;

  constructor(@Inject(DATABASE_OPTIONS) options: DatabaseOptions) {
    this.connection = {
      connectionString: options.url,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: options.statementTimeoutMs ?? 10_000,
      lock_timeout: LOCK_TIMEOUT_MS,
      idle_in_transaction_session_timeout: 15_000,
      // The server's own limits do not help against a peer that is silent; this one does.
      query_timeout: (options.statementTimeoutMs ?? 10_000) + 5_000,
      keepAlive: true,
    };
    this.pool = new pg.Pool({ ...this.connection, max: options.poolSize ?? 10 });
    // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
    this.pool.on('error', () => undefined);
    this.prisma = new PrismaClient({
      adapter: new PrismaPg(this.pool),
      // Otherwise its messages quote the arguments, which clients choose.
      errorFormat: 'minimal',
      transactionOptions: { maxWait: CONNECT_TIMEOUT_MS, timeout: 15_000 },
    });
  }

  /** Waits for the server. @throws what the server refuses, such as a wrong password or a missing database */
  async onModuleInit(): Promise<void> {
    await waitFor(
      'PostgreSQL',
      () => this.ping(),
      (error) => kindOf(error) === 'unavailable',
    );
  }

  /** Last: workers and subscribers finish before this, in earlier hooks. */
  async onApplicationShutdown(): Promise<void> {
    await this.prisma.$disconnect();
    await this.pool.end();
  }

  /** @throws StowageError unavailable DATABASE_UNAVAILABLE */
  async ping(): Promise<void> {
    await this.run(() => this.pool.query('select 1'));
  }

  /** A connection outside of the pool, for whoever listens; to be connected and ended by them. */
  dedicated(applicationName: string): pg.Client {
    return new pg.Client({ ...this.connection, application_name: applicationName });
  }

  /** Runs a prepared statement in its own transaction. */
  async query<Row>(statement: Statement<Row>, values: readonly unknown[]): Promise<Row[]> {
    const result = await this.run(() =>
      this.pool.query<Row & pg.QueryResultRow>({ ...statement, values: [...values] }),
    );
    return result.rows;
  }

  /** Runs `work` on the Prisma client outside any transaction, with errors as this class promises them. */
  read<T>(work: (prisma: PrismaClient) => Promise<T>): Promise<T> {
    return this.run(() => work(this.prisma));
  }

  /**
   * Runs `work` in one READ COMMITTED transaction, again after a deadlock. `work` must not touch anything but the
   * database: it may run more than once.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.run(() => this.prisma.$transaction(work));
  }

  private async run<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (error instanceof StowageError) throw error;
        const codes = codesOf(error);
        if (attempt < MAX_TRIES && codes.some((code) => TRY_AGAIN.has(code))) continue;
        if (
          codes.some((code) => DOWN.test(code)) ||
          (error instanceof Error && DOWN_MESSAGE.test(error.message))
        ) {
          throw unavailable('DATABASE_UNAVAILABLE', 'The database is not available. Try again later.', error);
        }
        throw error;
      }
    }
  }
}
