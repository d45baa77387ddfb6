import { expect } from '@jest/globals';
import sharp from 'sharp';
import { AssetTransferService } from '#libs/assets';
import { until } from '../../libs/testing/src/until.js';
import {
  actor,
  CONTENT,
  INCOMING,
  QUARANTINE,
  requestFor,
  sha256,
  type World,
} from '../../libs/testing/src/world.js';

export const OWNER = actor(42n);
export const OTHER = actor(43n);
const OPERATOR = actor(1n, { isAdmin: true });
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
/** More than VERIFY_DAYS. */
const ALL_DUE_MS = 100 * DAY_MS;

/** Tasks that a worker runs soon after its start. */
export const AT_ONCE = [
  'expire-uploads',
  'reconcile-uploads',
  'remove-incoming',
  'remove-unreferenced',
  'quarantine',
];
const OTHERS = ['collect-orphans', 'verify-integrity', 'audit-counts', 'variants'];

const PNG = { filename: 'a.png', mimeType: 'image/png' };

export const at = (ms: number) => new Date(Date.now() + ms);

export const picture = (side: number) =>
  sharp({ create: { width: side, height: side, channels: 3, background: '#345' } })
    .png()
    .toBuffer();

/** The bytes of an asset, by its name in the test. */
export const textOf = (name: string) => `the bytes of ${name}`;

/** Actions of a run. A step that rebuilds the variants of a lost object may be faster than the one that finds the object lost. */
export const actionsOf = ({ actions }: Awaited<ReturnType<World['runTask']>>) =>
  actions
    .filter(({ action }) => action !== 'rebuild')
    .map(({ action, subject }) => `${action} ${subject}`)
    .toSorted();

/** A library whose database is restored: its content at the time of the backup, and the changes of the hour after it. */
export class RestoredLibrary {
  /** Ids of assets by their names. */
  readonly ids: Record<string, string> = {};
  /** Ids of stored objects by the names of their assets. */
  readonly objects: Record<string, bigint> = {};

  constructor(private readonly world: World) {}

  /** Fills the library before the backup. */
  async fill(): Promise<void> {
    const { world, ids } = this;
    const names = ['kept', 'purged', 'purged and sent again', 'purged by the task', 'deleted', 'replaced'];
    const more = ['transferred', 'infected', 'shared', 'deleted and restored', 'without references'];
    for (const name of [...names, ...more]) await this.keep(name, textOf(name));
    await this.keep('shared, other', textOf('shared'), {}, OTHER);
    await this.keep('picture', await picture(40), PNG);
    await this.keep('purged picture', await picture(30), PNG);
    for (const name of ['purged by the task', 'deleted and restored', 'without references']) {
      await world.removal.delete(OWNER, ids[name]!);
    }
    await this.letRetentionEnd('without references');
    await world.runTask('purge-deleted');
    await this.letRetentionEnd('purged by the task');
    ids.sent = (await world.request(textOf('sent'))).id;
    ids.finished = (await world.request(textOf('finished'))).id;
    ids.claimed = (await world.received(textOf('claimed'))).id;
  }

  /** Changes the library in the hour after the backup. */
  async passAnHour(): Promise<void> {
    const { world, ids, objects } = this;
    for (const name of ['purged', 'purged and sent again', 'purged picture']) {
      await world.removal.purge(OWNER, ids[name]!);
    }
    await world.removal.purge(OTHER, ids['shared, other']!);
    expect((await world.upload(textOf('purged and sent again'))).status).toBe('READY');
    await world.removal.delete(OWNER, ids.deleted!);
    await world.removal.restore(OWNER, ids['deleted and restored']!);
    const purged = await world.runTask('purge-deleted', { now: at(HOUR_MS / 2) });
    expect(actionsOf(purged)).toEqual([`purge asset ${ids['purged by the task']}`]);
    await this.replace('replaced', textOf('a replacement'));
    const transfers = world.module.get(AssetTransferService, { strict: false });
    await transfers.transfer(OPERATOR, ids.transferred!, OTHER.ownerId);
    const infected = { id: objects.infected!, sha256: sha256(textOf('infected')) };
    await world.infectedContent.quarantineObject(infected, new Date());
    await this.keep('uploaded later', textOf('uploaded later'));
    await this.keep('picture uploaded later', await picture(50), PNG);
    await this.send('sent');
    await this.send('finished');
    await world.completion.checkObject(ids.finished!);
    for (const name of ['finished', 'claimed']) {
      await world.process(await world.job(ids[name]!));
      expect([name, (await world.asset(ids[name]!)).status]).toEqual([name, 'READY']);
    }
    const bytes = textOf('in flight');
    ids['in flight'] = (await world.request(bytes, { idempotencyKey: 'of the lost hour' })).id;
    await this.send('in flight');
    const sweeps = AT_ONCE.filter((name) => name !== 'reconcile-uploads');
    await this.runTasks(HOUR_MS, sweeps);
  }

  /** Runs tasks one after the other. @param ms their time, from now @returns their actions by the names of the tasks */
  async runTasks(ms: number, names = [...AT_ONCE, ...OTHERS]): Promise<Record<string, string[]>> {
    const actions: Record<string, string[]> = {};
    for (const name of names) {
      const now = at(name === 'verify-integrity' ? ALL_DUE_MS : ms);
      const run = await this.world.runTask(name, { now });
      const { outcome, failed, error } = run;
      expect({ name, outcome, failed, error }).toEqual({ name, outcome: 'succeeded', failed: 0 });
      actions[name] = actionsOf(run);
    }
    return actions;
  }

  /** Waits until the services use the database again. */
  reconnected(): Promise<true> {
    const ping = () => this.world.database.ping();
    return until('the database is used again', () =>
      ping().then(
        () => true as const,
        () => null,
      ),
    );
  }

  /** All objects of the buckets with their generations. */
  async listed(): Promise<string[]> {
    const lists = await Promise.all(
      [INCOMING, CONTENT, QUARANTINE].map(async (bucket) => {
        const [files] = await this.world.emulators.client.bucket(bucket).getFiles();
        return files.map(({ name, metadata }) => `${bucket}/${name}#${metadata.generation}`);
      }),
    );
    return lists.flat().toSorted();
  }

  /** The hash of the bytes that a client downloads, or why there are none. */
  async downloaded(name: string): Promise<string> {
    const asset = await this.world.asset(this.ids[name]!);
    const signed = await this.world.urls.sign(actor(asset.ownerId), asset, 60, 'ATTACHMENT');
    if (signed === null) return 'not served';
    const response = await fetch(signed.url);
    return response.ok ? sha256(Buffer.from(await response.arrayBuffer())) : `HTTP ${response.status}`;
  }

  async status(name: string): Promise<string> {
    return (await this.world.asset(this.ids[name]!)).status;
  }

  /** Findings about stored objects. */
  async findings(): Promise<string[]> {
    const where = { subject: { startsWith: 'object ' } };
    const rows = await this.world.database.prisma.integrityFinding.findMany({ where });
    return rows
      .map(({ problem, subject, repaired }) => `${subject}: ${problem}${repaired ? ', repaired' : ''}`)
      .toSorted();
  }

  /** Jobs of the queue and runs of tasks that are not finished. */
  async unfinished(): Promise<string[]> {
    const { pool } = this.world.database;
    const work: string[] = [];
    const add = async (sql: string) => {
      const { rows } = await pool.query<{ work: string }>(sql);
      work.push(...rows.map(({ work }) => work));
    };
    await add(`select 'run of ' || task as work from task_runs where finished_at is null`);
    const { rows } = await pool.query<{ exists: boolean }>(
      `select to_regclass('bullmq.job') is not null as exists`,
    );
    // A dump leaves out the queue.
    if (rows[0]!.exists) await add(`select 'job ' || id as work from bullmq.job`);
    return work;
  }

  /** The last ids that the sequences gave out. */
  async lastIds(): Promise<Map<string, bigint>> {
    const { rows } = await this.world.database.pool.query<{ name: string; last: bigint | null }>(
      `select sequencename as name, last_value as last from pg_sequences where schemaname = 'public'`,
    );
    return new Map(rows.map(({ name, last }) => [name, last ?? 0n]));
  }

  private async keep(name: string, bytes: string | Buffer, more = {}, by = OWNER): Promise<void> {
    const { id, status, storedObjectId } = await this.world.upload(bytes, more, by);
    expect([name, status]).toEqual([name, 'READY']);
    this.ids[name] = id;
    this.objects[name] = storedObjectId!;
  }

  private async letRetentionEnd(name: string): Promise<void> {
    const data = { deletedAt: at(-31 * DAY_MS) };
    await this.world.database.prisma.mediaAsset.update({ where: { assetId: this.ids[name]! }, data });
  }

  private async replace(name: string, bytes: string): Promise<void> {
    const { world } = this;
    const request = requestFor(bytes);
    const { asset, ticket } = await world.uploads.replace(OWNER, this.ids[name]!, request, 'test-request');
    expect(await world.put(ticket, bytes)).toBe(200);
    await world.completion.checkObject(asset.id);
    await world.process(await world.job(asset.id));
    expect((await world.asset(this.ids[name]!)).checksumSha256).toBe(sha256(bytes));
  }

  private async send(name: string): Promise<void> {
    const ticket = await this.world.uploads.renew(OWNER, this.ids[name]!);
    expect(await this.world.put(ticket, textOf(name))).toBe(200);
  }
}
