import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import type { JWTPayload } from 'jose';
import { LoggerModule } from 'nestjs-pino';
import pg from 'pg';
import { Database, DatabaseConfig, DatabaseModule, Notifications } from '#libs/database';
import {
  IdentityConfig,
  IdentityModule,
  IdentityService,
  type Revocations,
  TokenRevocationsService,
} from '#libs/identity';
import { ConfigurationModule, configured, HealthModule, MetricsModule } from '#libs/runtime';
import { JWT, signJwt } from '../../../libs/testing/src/environment.js';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import { until } from '../../../libs/testing/src/until.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

const SECOND = 1_000;
const now = () => Math.floor(Date.now() / SECOND);
/** An instant in seconds, as `iat` has it. */
const at = (seconds: number) => new Date(seconds * SECOND);

/** The modules of an api that decide about tokens. */
class Process implements AsyncDisposable {
  static async start(databaseUrl: string): Promise<Process> {
    const proxy = await TcpProxy.start(new URL(databaseUrl).host);
    const database = configured(DatabaseConfig, { url: proxy.urlOf(databaseUrl), poolSize: 3 });
    const identity = configured(IdentityConfig, {
      secret: JWT.secret,
      issuer: JWT.party,
      audience: JWT.party,
    });
    const module = await Test.createTestingModule({
      imports: [
        ConfigurationModule.forRoot({ database, identity }),
        LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
        MetricsModule,
        HealthModule.forRoot(),
        DatabaseModule,
        IdentityModule,
      ],
    }).compile();
    await module.init();
    return new Process(module, proxy);
  }

  readonly identity = this.module.get(IdentityService);
  readonly revocations = this.module.get(TokenRevocationsService);
  readonly notifications = this.module.get(Notifications);
  readonly database = this.module.get(Database);

  private constructor(
    private readonly module: TestingModule,
    readonly proxy: TcpProxy,
  ) {}

  /** The reason for which a token is refused, or null. */
  async refusalOf(subject: string, claims: JWTPayload = {}, headers: object = {}): Promise<string | null> {
    const authorization = `Bearer ${await signJwt(subject, claims)}`;
    return this.identity.authenticate({ authorization, ...headers }).then(
      () => null,
      ({ reason, code }: { reason?: string; code?: string }) => reason ?? code ?? 'unknown',
    );
  }

  /** Makes the last read of revocations this much older. */
  age(milliseconds: number): void {
    (this.revocations as unknown as { readAt: number }).readAt -= milliseconds;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.pass();
    await this.module.close();
    await this.proxy[Symbol.asyncDispose]();
  }
}

describe('token revocations (real: PostgreSQL, notifications, two processes)', () => {
  let testDatabase: TestDatabase;
  let one: Process;
  let other: Process;
  let client: pg.Client;
  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    [one, other] = await Promise.all([Process.start(testDatabase.url), Process.start(testDatabase.url)]);
    client = new pg.Client({ connectionString: testDatabase.url });
    await client.connect();
  });
  afterAll(async () => {
    await client?.end();
    await one?.[Symbol.asyncDispose]();
    await other?.[Symbol.asyncDispose]();
    await testDatabase?.drop();
  });

  /** Waits until a process refuses a token of the owner that was issued at `iat`. */
  const refuses = (process: Process, subject: string, iat: number) =>
    until('the token is refused', async () =>
      (await process.refusalOf(subject, { iat })) === 'TOKEN_REVOKED' ? true : null,
    );

  it('end older tokens and tokens without a time of issue in all processes, and no newer ones', async () => {
    const issued = now() - 100;
    expect(await other.refusalOf('1', { iat: issued })).toBeNull();
    expect(await other.refusalOf('1')).toBeNull();
    await one.revocations.revoke(1n, at(issued + 1));
    expect(await one.refusalOf('1', { iat: issued })).toBe('TOKEN_REVOKED');
    await refuses(other, '1', issued);
    for (const process of [one, other]) {
      expect(await process.refusalOf('1')).toBe('TOKEN_REVOKED');
      expect(await process.refusalOf('1', { iat: issued + 0.999 })).toBe('TOKEN_REVOKED');
      expect(await process.refusalOf('1', { iat: issued + 1 })).toBeNull();
      expect(await process.refusalOf('2', { iat: issued })).toBeNull();
      expect(await process.refusalOf('2')).toBeNull();
    }
  });

  it('count a token as older that was issued earlier in the second of the instant', async () => {
    const issued = now() - 50;
    await one.revocations.revoke(3n, new Date(issued * SECOND + 500));
    expect(await one.refusalOf('3', { iat: issued })).toBe('TOKEN_REVOKED');
    expect(await one.refusalOf('3', { iat: issued + 1 })).toBeNull();
  });

  it('only move forward, whatever the order of the calls', async () => {
    const latest = now() - 10;
    const instants = [latest - 30, latest, latest - 20, latest, latest - 10];
    await Promise.all(
      instants.map((instant, index) => [one, other][index % 2]!.revocations.revoke(4n, at(instant))),
    );
    const { rows } = await client.query('select before from token_revocations where owner_id = 4');
    expect(rows).toEqual([{ before: at(latest) }]);
    for (const process of [one, other]) await refuses(process, '4', latest - 1);
    expect(await one.refusalOf('4', { iat: latest })).toBeNull();
  });

  it('may be at most as far in the future as clocks differ', async () => {
    await expect(one.revocations.revoke(5n, at(now() + 600))).rejects.toMatchObject({
      kind: 'invalid',
      reason: 'REVOCATION_IN_FUTURE',
      inputPath: ['before'],
    });
    expect(await one.refusalOf('5', { iat: now() })).toBeNull();
    await one.revocations.revoke(5n, at(now() + 10));
    expect(await one.refusalOf('5', { iat: now() })).toBe('TOKEN_REVOKED');
  });

  it('end delegated calls by the subject of the service, not by the owner', async () => {
    const ask = (scope: string, headers: object = {}) =>
      one.refusalOf('900', { iat: now() - 5, scope }, headers);
    const behalf = { 'x-stowage-on-behalf-of': '6' };
    await one.revocations.revoke(6n, at(now()));
    expect(await ask('stowage.delegate', behalf)).toBeNull();
    await one.revocations.revoke(900n, at(now()));
    expect(await ask('stowage.delegate', behalf)).toBe('TOKEN_REVOKED');
    expect(await ask('stowage.admin')).toBe('TOKEN_REVOKED');
  });

  it('are found without their notification', async () => {
    const issued = now() - 100;
    await client.query('insert into token_revocations (owner_id, before) values (7, $1)', [at(issued + 1)]);
    await Promise.all([one, other].map((process) => refuses(process, '7', issued)));
  });

  it('are found when they become visible later than others that changed after them', async () => {
    const issued = now() - 100;
    const late = new pg.Client({ connectionString: testDatabase.url });
    await late.connect();
    try {
      await late.query('begin');
      await late.query('insert into token_revocations (owner_id, before) values (8, $1)', [at(issued + 1)]);
      await client.query('insert into token_revocations (owner_id, before) values (9, $1)', [at(issued + 1)]);
      await refuses(other, '9', issued);
      expect(await other.refusalOf('8', { iat: issued })).toBeNull();
      await late.query('commit');
    } finally {
      await late.end();
    }
    await refuses(other, '8', issued);
  });

  it('reach a process that lost its connection for notifications', async () => {
    const issued = now() - 100;
    await until('the process listens', () => other.notifications.isListening || null);
    other.proxy.cut();
    await until('the connection is lost', () => !other.notifications.isListening || null);
    await one.revocations.revoke(10n, at(issued + 1));
    await refuses(other, '10', issued);
    await until('the process listens again', () => other.notifications.isListening || null);
    const heard: Revocations[] = [];
    other.revocations.onChange((changed) => heard.push(changed));
    await one.revocations.revoke(11n, at(issued + 2));
    await until('the notification', () => heard.some((each) => each.has(11n)) || null);
    for (const payload of ['', '11', 'x 1', '11 x', '11 1 1'])
      await client.query('select pg_notify($1, $2)', ['stowage_revocations', payload]);
    await one.revocations.revoke(14n, at(issued));
    await until('the next notification', () => heard.some((each) => each.has(14n)) || null);
  });

  it('are known to a process after its start, however many there are', async () => {
    const issued = now() - 100;
    await client.query(
      `insert into token_revocations (owner_id, before, changed_at)
        select id, $1, now() - interval '1 day' from generate_series(1000000, 1002499) id`,
      [at(issued + 1)],
    );
    await using started = await Process.start(testDatabase.url);
    for (const subject of ['1000000', '1001000', '1002499'])
      expect(await started.refusalOf(subject, { iat: issued })).toBe('TOKEN_REVOKED');
    expect(await started.refusalOf('1002500', { iat: issued })).toBeNull();
  });

  it('refuse every token while they cannot be read for too long, and accept again afterwards', async () => {
    await using cut = await Process.start(testDatabase.url);
    await cut.proxy.refuse();
    expect(await cut.refusalOf('12', { iat: now() })).toBeNull();
    cut.age(31 * SECOND);
    // Database does not recognize the errors of Node's sockets in Jest, which runs tests in a realm of their own.
    expect(await cut.refusalOf('12', { iat: now() })).toMatch(/^(DATABASE_UNAVAILABLE|ECONNREFUSED)$/);
    const issued = now() - 100;
    await one.revocations.revoke(12n, at(issued + 1));
    await cut.proxy.pass();
    expect(await cut.refusalOf('12', { iat: issued })).toBe('TOKEN_REVOKED');
    expect(await cut.refusalOf('12', { iat: issued + 1 })).toBeNull();
  });

  it('cost no query per request', async () => {
    const { pool } = one.database;
    const asked: string[] = [];
    const query = pool.query.bind(pool) as (config: { name?: string }) => unknown;
    const spied = pool as unknown as { query: typeof query };
    spied.query = (config) => {
      asked.push(config.name ?? '');
      return query(config);
    };
    for (let request = 0; request < 50; request++) await one.refusalOf('13', { iat: now() });
    spied.query = query;
    // A heartbeat may fall into the requests.
    expect(asked.filter((name) => name.startsWith('identity')).length).toBeLessThan(25);
  });
});
