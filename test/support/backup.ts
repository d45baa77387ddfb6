import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { migrateDatabase } from '../../libs/database/src/migrate.js';
import { migrateQueue } from '../../libs/queue/src/migrate.js';
import { featuresWithTables } from '../../scripts/prisma/project-schema.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

/** Major version of `pg_dump` on the PATH; 0 if there is none. */
const dumpVersion = (() => {
  try {
    const text = execFileSync('pg_dump', ['--version'], { encoding: 'utf8' });
    return Number(/\d+/.exec(text)?.[0] ?? 0);
  } catch {
    return 0;
  }
})();

/** The SQL of docs/operating.md that begins with this comment. */
export function runbookSql(comment: string): string {
  const document = readFileSync(path.join(ROOT, 'docs/operating.md'), 'utf8');
  const blocks = [...document.matchAll(/^ *```sql\n(.*?)^ *```$/gms)].map(([, code = '']) => code);
  const [block, ...others] = blocks.filter((code) => code.trimStart().startsWith(`-- ${comment}`));
  if (block === undefined || others.length > 0)
    throw new Error(`docs/operating.md has no single block "${comment}"`);
  return block;
}

/** Executes statements of the runbook on a database. @returns the rows of each statement */
export async function execute(url: string, sql: string): Promise<object[][]> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 30_000,
    query_timeout: 60_000,
  });
  await client.connect();
  try {
    const results = (await client.query(sql)) as pg.QueryResult<object> | pg.QueryResult<object>[];
    return [results].flat().map(({ rows }) => rows);
  } finally {
    await client.end();
  }
}

/** Creates or updates all tables, as `npm run migrate` does. */
export async function migrate(url: string): Promise<void> {
  await migrateDatabase(url, ROOT, featuresWithTables(ROOT));
  await migrateQueue(url);
}

const nameOf = (url: string) => new URL(url).pathname.slice(1);

function urlOf(url: string, name: string): string {
  const other = new URL(url);
  other.pathname = `/${name}`;
  return other.href;
}

/** Backs up and replaces a database as the runbook in docs/operating.md describes. */
export class DatabaseBackups implements AsyncDisposable {
  private readonly names: string[] = [];
  private folder: string | undefined;

  /** @param url database that the processes use; it keeps its name when it is replaced */
  constructor(private readonly url: string) {}

  /**
   * Takes a backup with `pg_dump`, or lets the server copy the database if there is no `pg_dump` or the server is newer.
   * @returns a function that restores it beside the others, in place of the present database; see {@link replace}
   */
  async take(): Promise<() => Promise<string>> {
    const server = await this.serverVersion();
    if (dumpVersion < server) {
      process.stdout.write(
        `the server copies the database for a backup: pg_dump ${server} is not on the PATH\n`,
      );
      const copy = this.newName();
      const name = nameOf(this.url);
      await this.unused(name, () => this.admin(`create database ${copy} template ${name}`));
      return () => this.replace((name) => this.admin(`create database ${name} template ${copy}`));
    }
    this.folder ??= await mkdtemp(path.join(os.tmpdir(), 'stowage-backup-'));
    const file = path.join(this.folder, `${this.newName()}.dump`);
    await run('pg_dump', ['--format=custom', '--exclude-schema=bullmq', `--file=${file}`, this.url]);
    return () =>
      this.replace(async (name) => {
        await this.admin(`create database ${name} template template0`);
        await run('pg_restore', ['--no-owner', '--exit-on-error', `--dbname=${this.url}`, file]);
      });
  }

  /** Replaces the database by an empty one with all tables. @returns the URL of the old one */
  async replaceByEmpty(): Promise<string> {
    const old = await this.replace((name) => this.admin(`create database ${name} template template0`));
    await migrate(this.url);
    return old;
  }

  /** Puts a database that was replaced in place of the present one. */
  async putBack(old: string): Promise<void> {
    await this.replace((name) => this.rename(nameOf(old), name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.names) await this.admin(`drop database if exists ${name} with (force)`);
    if (this.folder !== undefined) await rm(this.folder, { recursive: true });
  }

  /** Keeps the database under another name and creates one in its place. @returns the URL of the old one */
  private async replace(create: (name: string) => Promise<void>): Promise<string> {
    const [name, kept] = [nameOf(this.url), this.newName()];
    await this.rename(name, kept);
    await create(name);
    return urlOf(this.url, kept);
  }

  private rename(from: string, to: string): Promise<void> {
    return this.unused(from, () => this.admin(`alter database ${from} rename to ${to}`), to);
  }

  /** Ends all connections, whose clients connect again after `work`. @param after the name of the database afterwards */
  private async unused(name: string, work: () => Promise<void>, after = name): Promise<void> {
    await this.admin(`alter database ${name} with allow_connections false`);
    await this.admin(
      `select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = '${name}'`,
    );
    await work();
    await this.admin(`alter database ${after} with allow_connections true`);
  }

  private newName(): string {
    const name = `backup_${randomBytes(8).toString('hex')}`;
    this.names.push(name);
    return name;
  }

  private async admin(sql: string): Promise<void> {
    await execute(urlOf(this.url, 'postgres'), sql);
  }

  private async serverVersion(): Promise<number> {
    const [rows] = await execute(this.url, `select current_setting('server_version_num') as version`);
    return Math.floor(Number((rows![0] as { version: string }).version) / 10_000);
  }
}
