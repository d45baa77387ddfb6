import { kindOf, StowageError } from '#libs/domain';
import { INCOMING, type World } from '../support/world.js';
import { Course, Crash, type Fault, weave } from './effects.js';
import { checkInvariants, checkQuota, claim } from './invariants.js';
import { type AssetState, isTerminal, NONE, type Scene } from './model.js';
import type { Inventory } from './inventory.js';
import { type AssetRow, observe, type Tables } from './observation.js';
import { type Deed, Operations, type Slot, sumOf } from './operations.js';
import { deadlineOf, expectAnswers, outcomeOf, waysOf } from './prediction.js';
import { type Act, ANY_SLOT, type Item, type Operation, OWNERS, type Resume, type Step } from './steps.js';

const FAILED_KEEP_MS = 7 * 24 * 3_600_000;
/** More than these do not stand still at a time; the oldest goes on first. */
const MAX_PAUSED = 4;

/** What an asset looks like in the model, beside its row. */
interface Known {
  readonly state: AssetState;
  readonly failedAt: number;
  readonly failures: number;
}

interface Before {
  readonly tables: Tables;
  readonly incoming: ReadonlyMap<string, string>;
}

interface Running {
  readonly deed: Deed;
  readonly course: Course<void>;
  readonly startedAt: number;
  readonly fault: Fault | null;
}

/** One run: the world, the model beside it, and the comparison after each step. */
export class Run {
  /** All events so far. */
  readonly happened: string[] = [];
  private readonly known = new Map<string, Known>();
  private readonly slots: Slot[] = [];
  private paused: Running[] = [];
  /** As the last comparison saw them: what the next step begins with. */
  private tables!: Tables;
  private incoming: ReadonlyMap<string, string> = new Map();
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
      'truncate media_assets, stored_objects, owner_quotas, domain_events, dead_letters, bullmq.job cascade',
    );
    await inventory.clear(world);
    run.tables = await observe(world, 0);
    return run;
  }

  async step(step: Step): Promise<void> {
    if ('resume' in step) await this.resume(step);
    else await this.act(step);
  }

  /** Until nothing is due any more; everything asked for is over, and nothing lies about. Then for nothing at all to be left. */
  async settle(): Promise<void> {
    while (this.paused.length > 0) await this.resume({ resume: 0, end: null });
    await this.inventory.check(this.world);
    const unfinished = () =>
      [...this.known].filter(([, { state }]) => ['PENDING', 'PROCESSING', 'FAILED'].includes(state.status));
    for (let round = 0; round < 4 || unfinished().length > 0 || this.tables.jobs.length > 0; round++) {
      claim(round < 12, 'it does not come to an end', unfinished());
      this.pass(8 * 24 * 3600);
      for (const what of ['unfinished', 'waste', 'objects'] as const) await this.alone({ do: 'sweep', what });
      for (const { data } of this.tables.jobs)
        await this.alone({ do: 'work', slot: this.slotOf(data.assetId), stale: false });
    }
    const ownerless = new Set(
      [...this.inventory.incoming.keys()].filter((key) => this.known.get(key)?.state.status !== 'PURGED'),
    );
    claim(ownerless.size === 0, 'incoming objects are left', [...ownerless]);
    for (const id of this.operations.undelivered) await this.alone({ do: 'notify', slot: this.slotOf(id) });
    claim(this.inventory.incoming.size === 0, 'incoming objects of purged assets are left', [
      ...this.inventory.incoming.keys(),
    ]);
    for (const object of this.tables.stored) {
      claim(object.state === 'LIVE' && object.refs > 0, 'a stored object is left', object);
      const served = await this.operations.servedSum(object.key!);
      claim(served === object.sum, 'other bytes are served', object);
    }
    for (const { id } of this.tables.assets) await this.alone({ do: 'purge', slot: this.slotOf(id) });
    this.pass(2 * 3600);
    await this.alone({ do: 'sweep', what: 'objects' });
    claim(this.tables.stored.length === 0, 'stored objects are left', this.tables.stored);
    await this.inventory.check(this.world);
    claim(this.inventory.content.size === 0, 'objects are left', [...this.inventory.content.keys()]);
  }

  private pass(seconds: number): void {
    this.now += seconds * 1000;
    this.setTime(this.now);
  }

  private slotOf(assetId: string): number {
    const index = this.slots.findIndex((slot) => slot.assetId === assetId);
    claim(index >= 0, 'nobody knows of an asset', assetId);
    return ANY_SLOT + this.slots.length - 1 - index;
  }

  private alone(operation: Operation): Promise<void> {
    return this.act({ seconds: 1, operations: [operation], turns: null, fault: null });
  }

  private async act({ seconds, operations, turns, fault }: Act): Promise<void> {
    this.pass(seconds);
    const deeds = operations.map((operation) => this.deedOf(operation));
    const isHeld = turns !== null;
    const running = deeds.map((deed, index): Running => {
      const hit = index === 0 ? fault : null;
      const course = new Course(() => this.operations.perform(deed), hit, isHeld);
      return { deed, course, startedAt: this.now, fault: hit };
    });
    if (isHeld)
      await weave(
        running.map(({ course }) => course),
        turns,
      );
    await this.compare(running, running.length === 1 && fault === null);
    while (this.paused.length > MAX_PAUSED) await this.resume({ resume: 0, end: null });
  }

  private async resume({ resume, end }: Resume): Promise<void> {
    if (this.paused.length === 0) return;
    this.pass(1);
    const [running] = this.paused.splice(resume % this.paused.length, 1);
    running!.course.letGo(end ?? undefined);
    await this.compare([running!], false);
  }

  private deedOf(operation: Operation): Deed {
    if (operation.do === 'request') {
      const slots = operation.items.map((item) => this.newSlot(1 + (operation.owner % OWNERS), item));
      return { operation, slots, assetId: null, job: null, letter: null };
    }
    if (operation.do === 'sweep') return { operation, slots: [], assetId: null, job: null, letter: null };
    const slot = this.pick(operation.slot, operation.do === 'advance');
    const assetId = slot?.assetId ?? null;
    const made = operation.do === 'advance' ? this.advance(assetId) : operation;
    const isStale = made.do === 'work' && made.stale;
    const job = assetId === null ? null : Operations.jobOf(this.tables, assetId, isStale);
    const letter = this.tables.letters.findLast((each) => each.assetId === assetId)?.id ?? null;
    return { operation: made, slots: slot === undefined ? [] : [slot], assetId, job, letter };
  }

  private pick(back: number, isUnfinished: boolean): Slot | undefined {
    const isFit = ({ assetId }: Slot) => {
      const state = assetId === null ? undefined : this.known.get(assetId)?.state;
      return state !== undefined && (isUnfinished ? !isTerminal(state) : state.status !== 'PURGED');
    };
    const isAny = back >= ANY_SLOT;
    const slots = isAny ? this.slots : this.slots.filter(isFit);
    return slots.at(-1 - ((isAny ? back - ANY_SLOT : back) % Math.max(slots.length, 1)));
  }

  /** What comes next when nothing goes wrong. */
  private advance(assetId: string | null): Operation {
    const status = assetId === null ? undefined : this.known.get(assetId)?.state.status;
    if (status === 'PROCESSING') return { do: 'work', slot: 0, stale: false };
    if (status === 'FAILED') return { do: 'revive', slot: 0 };
    const isThere = assetId !== null && this.incoming.has(assetId);
    return isThere ? { do: 'notify', slot: 0 } : { do: 'put', slot: 0, body: 'right' };
  }

  private newSlot(owner: number, item: Item): Slot {
    const key = item.key === null ? null : `key ${item.key}`;
    const filename =
      key === null ? `number ${this.slots.length}.txt` : `${key} ${item.content} ${item.method}.txt`;
    const slot = { owner, item, filename, key, answer: null, assetId: null, ticket: null, session: null };
    this.slots.push(slot);
    return slot;
  }

  /** Waits for what runs to end or to stand still, and holds what was against what may be. */
  private async compare(running: readonly Running[], isExact: boolean): Promise<void> {
    const before = { tables: this.tables, incoming: this.incoming };
    const expected = isExact ? this.expectRequest(running[0]!.deed) : null;
    for (const each of running) await this.ended(each, isExact, before);
    this.tables = await observe(this.world, this.lastEvent);
    this.lastEvent = this.tables.events.at(-1)?.id ?? this.lastEvent;
    const rows = new Map(this.tables.assets.map((row) => [row.id, row]));
    for (const row of rows.values()) this.attribute(row);
    const deeds = running.map(({ deed }) => deed);
    const startedAt = Math.min(...running.map((each) => each.startedAt));
    const isBuggy = running.some(({ fault }) => fault?.kind === 'bug');
    for (const [id, known] of this.known) {
      const old = before.tables.assets.find((row) => row.id === id);
      const scene = (deed: Deed) => this.scene(deed, old, known, before, isExact, isBuggy);
      const outcome = (deed: Deed, state: AssetState) =>
        outcomeOf(deed, id, rows.get(id), state, scene(deed));
      const ways = waysOf(deeds, known.state, outcome, !isExact);
      const events = this.tables.events
        .filter(({ assetId }) => assetId === id)
        .map(({ type }) => type.slice('asset.'.length));
      const way = ways.find(
        (each) => String(each.events) === String(events) && isLike(each.state, rows.get(id)),
      );
      claim(way !== undefined, 'this may not happen', {
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
      const letters = this.tables.letters.filter(({ assetId }) => assetId === id).length;
      claim(letters === failures, 'not one dead letter for each failure', { id, letters, failures });
      claim(
        !old || !rows.get(id) || rows.get(id)!.deadline >= old.deadline,
        'a deadline moved back',
        rows.get(id),
      );
    }
    if (expected !== null) this.checkRequest(running[0]!.deed, expected, rows);
    this.incoming = new Map(this.inventory.incoming);
    this.checkAll();
  }

  private async ended(
    { deed, course, startedAt, fault }: Running,
    isExact: boolean,
    before: Before,
  ): Promise<void> {
    await course.rest();
    if (course.isWaiting) {
      this.paused.push({ deed, course, startedAt, fault });
      return;
    }
    const result = await course.result;
    const answer = result.status === 'fulfilled' ? 'ok' : kindOf(result.reason);
    const reason: unknown = result.status === 'fulfilled' ? null : result.reason;
    if (isExact) {
      const state = (deed.assetId === null ? undefined : this.known.get(deed.assetId)?.state) ?? NONE;
      const old = before.tables.assets.find(({ id }) => id === deed.assetId);
      const known = { state, failedAt: 0, failures: 0 };
      const scene = this.scene(deed, old, known, before, true, false);
      const wanted = deed.assetId === null ? 'ok' : outcomeOf(deed, deed.assetId, old, state, scene).answer;
      if (answer !== wanted)
        throw new Error(`${deed.operation.do} answered ${answer}, not ${wanted}`, { cause: reason });
      return;
    }
    const isMeant = reason === null || reason instanceof StowageError || reason instanceof Crash;
    if (!isMeant && fault?.kind !== 'bug') throw new Error(`${deed.operation.do} failed`, { cause: reason });
  }

  /** A new row belongs to an item that asked for it. */
  private attribute({ id, owner, filename }: AssetRow): void {
    if (this.known.has(id)) return;
    const slot = this.slots.findLast((each) => each.owner === owner && each.filename === filename);
    claim(slot !== undefined, 'nobody asked for an asset', { id, filename });
    // Whoever died before it was answered does not know its id; the model does.
    slot.assetId ??= id;
    this.known.set(id, { state: NONE, failedAt: 0, failures: 0 });
  }

  private scene(
    deed: Deed,
    row: AssetRow | undefined,
    { state, failedAt }: Known,
    { tables, incoming }: Before,
    isExact: boolean,
    isBuggy: boolean,
  ): Scene {
    const { job, letter } = deed;
    const there = row && incoming.get(row.id);
    const isClaimed = there !== undefined && there === row?.claimed;
    const claimedBytes =
      row?.claimed && this.inventory.sumAt(INCOMING, row.claimed) === row.sum ? 'right' : 'wrong';
    const exact = there === undefined ? 'none' : isClaimed ? claimedBytes : 'other';
    const any =
      row && this.inventory.hasSent(row.id)
        ? ([claimedBytes, 'other', 'none'] as const)
        : (['none'] as const);
    return {
      incoming: isExact ? [exact] : any,
      isOverdue: row !== undefined && row.deadline <= this.now,
      isForgotten: state.status === 'FAILED' && failedAt + FAILED_KEEP_MS <= this.now,
      hasOpenLetter: tables.letters.find(({ id }) => id === letter)?.state === 'OPEN',
      jobAttempt: job !== null && job.generation === row?.claimed ? job.attempt : null,
      isBusy: isExact && tables.stored.some(({ sum, state: at }) => sum === row?.sum && at === 'DELETING'),
      isBuggy,
    };
  }

  private expectRequest(deed: Deed): ReturnType<typeof expectAnswers> | null {
    if (deed.operation.do !== 'request') return null;
    return expectAnswers(deed.slots, this.tables.assets, this.now, ({ id }) => this.incoming.has(id));
  }

  private checkRequest(
    deed: Deed,
    expected: ReturnType<typeof expectAnswers>,
    rows: ReadonlyMap<string, AssetRow>,
  ): void {
    const answers = deed.slots.map(({ answer }) => answer);
    claim(
      String(answers) === String(expected.map(({ answer }) => answer)),
      'a request is answered otherwise',
      { answers, expected },
    );
    deed.slots.forEach((slot, index) => {
      if (expected[index]!.answer !== 'PENDING') return;
      claim(slot.ticket !== null, 'there is no ticket', slot);
      if (!expected[index]!.isNew) return;
      const row = rows.get(slot.assetId!);
      claim(
        row?.deadline === deadlineOf(slot, this.now) && row.sum === sumOf(slot),
        'it is not what was asked for',
        row,
      );
    });
  }

  private checkAll(): void {
    checkInvariants(this.tables, this.inventory);
    const owners = Array.from({ length: OWNERS }, (_, index) => index + 1);
    checkQuota(this.tables, owners, (id) => this.known.get(id)?.state ?? NONE);
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
