import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { JWTPayload } from 'jose';
import type { Feature } from '#libs/stowage';
import { createApi, readApiConfig } from '#libs/stowage/api';
import { appEnvironment, signJwt } from './environment.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';
import { Emulators } from './emulators.js';
import { LIMIT_MS } from './until.js';

export interface Answer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: {
    readonly message: string;
    readonly path?: (string | number)[];
    readonly extensions: {
      readonly code: string;
      readonly reason?: string;
      readonly retryAfterSeconds?: number;
    };
  }[];
}

/** The whole api on a free port of loopback, over a real PostgreSQL, a real queue and the storage emulator. */
export class TestApi implements AsyncDisposable {
  static async start(env: NodeJS.ProcessEnv = {}, features: readonly Feature[] = []): Promise<TestApi> {
    await using resources = new AsyncDisposableStack();
    const database = resources.adopt(await createTestDatabase(), (database) => database.drop());
    const emulators = resources.use(await Emulators.start());
    for (const bucket of ['incoming', 'content']) await emulators.client.createBucket(bucket);
    const config = readApiConfig(
      { ...appEnvironment(database.url, emulators), LOG_LEVEL: 'silent', ...env },
      features,
    );
    const app = resources.adopt(await createApi(config, features), (app) => app.close());
    await app.listen(0, '127.0.0.1');
    return new TestApi(app, emulators, database, resources.move());
  }

  private constructor(
    readonly app: NestFastifyApplication,
    readonly emulators: Emulators,
    private readonly database: TestDatabase,
    private readonly resources: AsyncDisposableStack,
  ) {}

  get databaseUrl(): string {
    return this.database.url;
  }

  get port(): number {
    return (this.app.getHttpServer().address() as AddressInfo).port;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, {
      signal: AbortSignal.timeout(LIMIT_MS),
      ...init,
    });
  }

  token(subject: string, claims: JWTPayload = {}): Promise<string> {
    return signJwt(subject, claims);
  }

  /** Sends an operation as user 42, as another subject, or without a token (`null`). */
  async query(
    query: string,
    variables: object = {},
    subject: string | null = '42',
    claims: JWTPayload = {},
  ): Promise<Answer> {
    const authorization =
      subject === null ? {} : { authorization: `Bearer ${await this.token(subject, claims)}` };
    const response = await this.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...authorization },
      body: JSON.stringify({ query, variables }),
    });
    return (await response.json()) as Answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}
