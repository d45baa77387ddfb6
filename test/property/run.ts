import { kindOf, StowageError } from '#libs/domain';
import type { World } from '../../libs/testing/src/world.js';
import { Course, Crash, type Fault, weave } from './effects.js';
import { type ResolvedOperation, ResolvedOperations, sumOf } from './resolved-operations.js';
import { checkInvariants, checkQuota, claim } from './invariants.js';
import { type AssetState, isTerminal, NONE } from './model.js';
import type { Inventory } from './inventory.js';
import { type AssetRow, observe } from './observation.js';
import { Operations } from './operations.js';
import {
  deadlineOf,
  expectAnswers,
  type Known,
  outcomeOf,
  sceneOf,
  type Seen,
  waysOf,
} from './prediction.js';
import { type Act, type Operation, OWNERS, type Resume, type Step, type TaskName, TASKS } from './steps.js';

/** Maximum number of paused operations. The oldest one continues when there are more. */
const MAX_PAUSED = 4;

/** A step takes milliseconds. One that takes this long, on a stalled machine, may have hit a time limit of the services. */
const STALLED_MS = 1000;

const UNKNOWN: Known = { state: NONE, failedAt: 0, failures: 0 };

interface Running {
  readonly resolved: ResolvedOperation;
  readonly course: Course<void>;
  readonly startedAt: number;
  readonly fault: Fault | null;
}

/** One run: the world, the model, and the comparison of both after each step. */
export class Run {
  /** All events so far. */
  readonly happened: string[] = [];
  private readonly known = new Map<string, Known>();
  private readonly resolver = new ResolvedOperations();
  private paused: Running[] = [];
  /** State at the last comparison, from which the next step starts. */
  private seen!: Seen;
  private lastEvent = 0;

  private constructor(
    private readonly world: World,
    private readonly inventory: Inventory,
    private readonly operations: Operations,
    private readonly setTime: (now: number) => void,
    private now: number,
  ) {}

  static async start(
    world: World,
    inventory: Inventory,
    setTime: (now: number) => void,
    now: number,
  ): Promise<Run> {
    const run = new Run(world, inventory, new Operations(world, inventory), setTime, now);
    setTime(now);
    await world.database.pool.query(
      'truncate media_assets, stored_objects, owner_quotas, domain_events, dead_letters, integrity_findings, bullmq.job cascade',
    );
    await inventory.clear(world);
    run.seen = { tables: await observe(world, 0), incoming: new Map() };
    return run;
  }

  async step(step: Step): Promise<void> {
    if ('resume' in step) await this.resume(step);
    else await this.act(step);
  }

  /**
   * Lets time pass until no work is due, and expects final states and no abandoned objects. Then purges all assets, and
   * expects no stored objects at all.
   */
  async finish(): Promise<void> {
    while (this.paused.length > 0) await this.resume({ resume: 0, end: null });
    await this.inventory.check(this.world);
    const live = await this.operations.liveSessions();
    const stray = live.find((id) => this.stateOf(id)?.status !== 'PENDING');
    claim(stray === undefined, 'a client can still send bytes without a reservation', stray);
    const unfinished = () => [...this.known].filter(([, { state }]) => !isTerminal(state));
    for (let round = 0; round < 4 || unfinished().length > 0 || this.seen.tables.jobs.length > 0; round++) {
      claim(round < 12, 'assets do not reach a final state', unfinished());
      this.pass(8 * 24 * 3600);
      for (const name of [
        'expire-uploads',
        'reconcile-uploads',
        'remove-incoming',
        'remove-unreferenced',
      ] as const)
        await this.task(name);
      for (const { data } of this.seen.tables.jobs)
        await this.alone({ do: 'work', slot: this.resolver.slotOf(data.assetId), stale: false });
    }
    const { incoming, content } = this.inventory;
    const abandoned = [...incoming.keys()].filter((key) => this.stateOf(key)?.status !== 'PURGED');
    claim(abandoned.length === 0, 'incoming objects are left', abandoned);
    for (const id of this.operations.undelivered)
      await this.alone({ do: 'notify', slot: this.resolver.slotOf(id) });
    claim(incoming.size === 0, 'incoming objects of purged assets are left', [...incoming.keys()]);
    for (const object of this.seen.tables.stored) {
      claim(object.state === 'LIVE' && object.refs > 0, 'a stored object is left', object);
      const served = await this.operations.servedSum(object.key!);
      claim(served === object.sum, 'other bytes are served', object);
    }
    this.pass(31 * 24 * 3600);
    for (const name of TASKS) await this.task(name);
    const kept = this.seen.tables.assets.find(({ status }) => status !== 'READY');
    claim(kept === undefined, 'an asset is kept after its time', kept);
    for (const { id } of this.seen.tables.assets)
      await this.alone({ do: 'purge', slot: this.resolver.slotOf(id) });
    this.pass(10 * 24 * 3600);
    await this.task('remove-unreferenced');
    await this.task('collect-orphans');
    claim(this.seen.tables.stored.length === 0, 'stored objects are left', this.seen.tables.stored);
    await this.inventory.check(this.world);
    claim(content.size === 0, 'objects are left', [...content.keys()]);
  }

  private task(name: TaskName): Promise<void> {
    return this.alone({ do: 'task', name, isDryRun: false });
  }

  /** Crashes all paused operations. */
  async abandon(): Promise<void> {
    for (const { course } of this.paused) {
      course.letGo('crash-before');
      await course.result;
    }
  }

  private stateOf(id: string): AssetState | undefined {
    return this.known.get(id)?.state;
  }

  private pass(seconds: number): void {
    this.now += seconds * 1000;
    this.setTime(this.now);
  }

  private alone(operation: Operation): Promise<void> {
    return this.act({ seconds: 1, operations: [operation], turns: null, fault: null });
  }

  private async act({ seconds, operations, turns, fault }: Act): Promise<void> {
    this.pass(seconds);
    const allResolved = operations.map((operation) =>
      this.resolver.of(operation, this.seen, (id) => this.stateOf(id)),
    );
    const isHeld = turns !== null;
    const began = performance.now();
    const running = allResolved.map((resolved, index): Running => {
      const hit = index === 0 ? fault : null;
      const course = new Course(() => this.operations.perform(resolved), hit, isHeld);
      return { resolved, course, startedAt: this.now, fault: hit };
    });
    if (isHeld)
      await weave(
        running.map(({ course }) => course),
        turns,
      );
    await this.compare(running, running.length === 1 && fault === null ? began : null);
    while (this.paused.length > MAX_PAUSED) await this.resume({ resume: 0, end: null });
  }

  private async resume({ resume, end }: Resume): Promise<void> {
    if (this.paused.length === 0) return;
    this.pass(1);
    const [running] = this.paused.splice(resume % this.paused.length, 1);
    running!.course.letGo(end ?? undefined);
    await this.compare([running!], null);
  }

  /**
   * Waits until the operations end or pause, and compares the observed state with the possible ones.
   * @param aloneSince start by `performance.now()` if the operation runs undisturbed, which allows only one answer
   */
  private async compare(running: readonly Running[], aloneSince: number | null): Promise<void> {
    const before = this.seen;
    const request = aloneSince === null ? null : this.expectRequest(running[0]!.resolved);
    for (const { course } of running) await course.rest();
    const isExact = aloneSince !== null && performance.now() - aloneSince < STALLED_MS;
    const expected = isExact ? request : null;
    for (const each of running) await this.ended(each, isExact, before);
    const tables = await observe(this.world, this.lastEvent);
    this.seen = { tables, incoming: new Map(this.inventory.incoming) };
    this.lastEvent = tables.events.at(-1)?.id ?? this.lastEvent;
    const rows = new Map(tables.assets.map((row) => [row.id, row]));
    for (const row of tables.assets.filter(({ id }) => !this.known.has(id))) {
      this.resolver.attribute(row);
      this.known.set(row.id, UNKNOWN);
    }
    const strange = tables.events.find(({ assetId }) => !this.known.has(assetId));
    claim(strange === undefined, 'an unknown asset has events', strange);
    const allResolved = running.map(({ resolved }) => resolved);
    const startedAt = Math.min(...running.map((each) => each.startedAt));
    const isBuggy = running.some(({ fault }) => fault?.kind === 'bug');
    const { inventory, now } = this;
    const circumstances = { seen: before, inventory, now, isExact, isBuggy };
    for (const [id, known] of this.known) {
      const old = before.tables.assets.find((row) => row.id === id);
      const scene = { ...circumstances, row: old, known };
      const outcome = (resolved: ResolvedOperation, state: AssetState) =>
        outcomeOf(resolved, id, rows.get(id), state, sceneOf(resolved, scene));
      const ways = waysOf(allResolved, known.state, outcome, !isExact);
      const events = tables.events
        .filter(({ assetId }) => assetId === id)
        .map(({ type }) => type.slice('asset.'.length));
      const way = ways.find(
        (each) => String(each.events) === String(events) && isLike(each.state, rows.get(id)),
      );
      claim(way !== undefined, 'the step had an impossible result', {
        id,
        from: known.state,
        events,
        row: rows.get(id),
        ways,
      });
      this.happened.push(...events);
      const failures = known.failures + events.filter((event) => event === 'failed').length;
      const failedAt = events.includes('failed') ? startedAt : known.failedAt;
      this.known.set(id, { state: way.state, failedAt, failures });
      const letters = tables.letters.filter(({ assetId }) => assetId === id).length;
      claim(letters === failures, 'the dead letters differ from the failures', { id, letters, failures });
      if (old !== undefined && rows.has(id)) this.checkDeadline(running, old, rows.get(id)!, isExact);
    }
    if (expected !== null) this.checkRequest(running[0]!.resolved, expected, rows);
    this.checkAll();
  }

  /** A deadline moves only with a new ticket, and never back. */
  private checkDeadline(
    running: readonly Running[],
    old: AssetRow,
    { id, deadline }: AssetRow,
    isExact: boolean,
  ): void {
    const renewal = running.find(
      ({ resolved }) =>
        resolved.operation.do === 'request' || (resolved.operation.do === 'renew' && resolved.assetId === id),
    );
    claim(deadline >= old.deadline, 'a deadline moved back', { id, deadline });
    claim(deadline === old.deadline || renewal !== undefined, 'a deadline moved', { id, deadline });
    const isRenewed = isExact && renewal?.resolved.operation.do === 'renew';
    if (!isRenewed || old.status !== 'PENDING' || old.deadline <= this.now) return;
    const fresh = deadlineOf(renewal.resolved.slots[0]!, this.now);
    // An open session keeps its deadline.
    const isSame = old.session && deadline === old.deadline;
    claim(isSame || deadline === Math.max(old.deadline, fresh), 'a ticket is not renewed', { id, deadline });
  }

  private async ended(
    { resolved, course, startedAt, fault }: Running,
    isExact: boolean,
    before: Seen,
  ): Promise<void> {
    if (course.isWaiting) {
      this.paused.push({ resolved, course, startedAt, fault });
      return;
    }
    const result = await course.result;
    const answer = result.status === 'fulfilled' ? 'ok' : kindOf(result.reason);
    const reason: unknown = result.status === 'fulfilled' ? null : result.reason;
    if (isExact) {
      const state = (resolved.assetId === null ? undefined : this.known.get(resolved.assetId)?.state) ?? NONE;
      const old = before.tables.assets.find(({ id }) => id === resolved.assetId);
      const { inventory, now } = this;
      const known = { ...UNKNOWN, state };
      const scene = sceneOf(resolved, {
        row: old,
        known,
        seen: before,
        inventory,
        now,
        isExact,
        isBuggy: false,
      });
      const wanted =
        resolved.assetId === null ? 'ok' : outcomeOf(resolved, resolved.assetId, old, state, scene).answer;
      if (answer !== wanted)
        throw new Error(`${resolved.operation.do} answered ${answer}, not ${wanted}`, { cause: reason });
      return;
    }
    const isMeant = reason === null || reason instanceof StowageError || reason instanceof Crash;
    if (!isMeant && fault?.kind !== 'bug')
      throw new Error(`${resolved.operation.do} failed`, { cause: reason });
  }

  private expectRequest(resolved: ResolvedOperation): ReturnType<typeof expectAnswers> | null {
    if (resolved.operation.do !== 'request') return null;
    const { tables, incoming } = this.seen;
    return expectAnswers(resolved.slots, tables.assets, this.now, ({ id }) => incoming.has(id));
  }

  private checkRequest(
    resolved: ResolvedOperation,
    expected: ReturnType<typeof expectAnswers>,
    rows: ReadonlyMap<string, AssetRow>,
  ): void {
    const answers = resolved.slots.map(({ answer }) => answer);
    claim(
      String(answers) === String(expected.map(({ answer }) => answer)),
      'a request has an unexpected answer',
      { answers, expected },
    );
    resolved.slots.forEach((slot, index) => {
      if (expected[index]!.answer !== 'PENDING') return;
      claim(slot.ticket !== null, 'the ticket is missing', slot);
      if (!expected[index]!.isNew) return;
      const row = rows.get(slot.assetId!);
      claim(
        row?.deadline === deadlineOf(slot, this.now) && row.sum === sumOf(slot),
        'the row differs from the request',
        row,
      );
    });
  }

  private checkAll(): void {
    const { tables } = this.seen;
    checkInvariants(tables, this.inventory);
    const owners = Array.from({ length: OWNERS }, (_, index) => index + 1);
    checkQuota(tables, owners, (id) => this.stateOf(id) ?? NONE);
  }
}

function isLike(state: AssetState, row: AssetRow | undefined): boolean {
  if (row === undefined) return state.status === 'PURGED' || state.status === 'NONE';
  return (
    row.status === state.status &&
    row.attempt === state.attempt &&
    row.deleted === (state.asked || state.status === 'DELETED') &&
    (row.stored !== null) === state.stored
  );
}
