import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { EventVerdict, ObjectRef } from '#libs/domain';
import type {
  ObjectEventHandler,
  ObjectEventReader,
  ObjectEvents,
  ObjectFinalized,
  UndeliverableEvent,
} from '../object-events.js';
import type { Put } from './seed.js';

/** Environment of the contract suite. */
export interface ObjectEventsSetup {
  /** Creates another consumer of the same subscription. Returned events are redelivered at once, pauses are short. */
  consumer(): ObjectEvents;
  readonly bucket: string;
  readonly put: Put;
  /** Publishes a message that is not an object event. */
  sendMalformed(): Promise<void>;
  /** Publishes an event of this object as a dead letter. */
  sendGivenUp(object: ObjectRef): Promise<void>;
  readonly reader: ObjectEventReader;
  close?(): Promise<void>;
}

type Verdict = EventVerdict | Promise<EventVerdict>;
const STOP_MS = 5000;

/** Records events. Events without an expected verdict are left over from earlier tests and acknowledged. */
class Inbox implements ObjectEventHandler {
  private readonly verdicts = new Map<string, (event: ObjectFinalized) => Verdict>();
  private readonly waiters: (() => void)[] = [];
  readonly events: ObjectFinalized[] = [];
  readonly undeliverables: UndeliverableEvent[] = [];
  verdictOnUndeliverable: () => EventVerdict = () => 'ack';

  on({ key }: ObjectRef, verdict: (event: ObjectFinalized) => Verdict): void {
    this.verdicts.set(key, verdict);
  }

  async finalized(event: ObjectFinalized): Promise<EventVerdict> {
    this.record(this.events, event);
    return (await this.verdicts.get(event.key)?.(event)) ?? 'ack';
  }

  undeliverable(event: UndeliverableEvent): Promise<EventVerdict> {
    this.record(this.undeliverables, event);
    return Promise.resolve(this.verdictOnUndeliverable());
  }

  private record<T>(list: T[], event: T): void {
    list.push(event);
    for (const check of this.waiters.splice(0)) check();
  }

  of({ key }: ObjectRef): ObjectFinalized[] {
    return this.events.filter((event) => event.key === key);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }
}

/** Contract suite for every {@link ObjectEvents}. Call it at the top level of a spec file. */
export function objectEventsContract(name: string, setup: () => Promise<ObjectEventsSetup>): void {
  describe(`the object events contract: ${name}`, () => {
    let given: ObjectEventsSetup;
    const running: ObjectEvents[] = [];
    beforeAll(async () => {
      given = await setup();
    });
    afterEach(() => Promise.all(running.splice(0).map((events) => events.stop(STOP_MS))));
    afterAll(() => given.close?.());

    const newObject = () => ({ bucket: given.bucket, key: randomUUID() });
    const put = (object: ObjectRef) => given.put(object, Buffer.from('x'), { contentType: 'text/plain' });
    const consume = async (inbox: Inbox) => {
      const events = given.consumer();
      running.push(events);
      await events.start(inbox);
      return {
        stop: async (timeoutMs: number) => {
          running.splice(running.indexOf(events), 1);
          await events.stop(timeoutMs);
        },
      };
    };

    it('delivers an event for every object with its version', async () => {
      const inbox = new Inbox();
      const before = await put(newObject());
      await consume(inbox);
      const objects = [before, ...(await Promise.all(Array.from({ length: 20 }, () => put(newObject()))))];
      await inbox.until(() => objects.every((object) => inbox.of(object).length > 0));
      for (const object of objects) {
        expect(inbox.of(object)[0]).toEqual({ ...object, messageId: expect.stringMatching(/./) });
      }
    });

    it.each<[string, () => Verdict]>([
      ['was nacked', () => 'nack'],
      ['was paused', () => 'pause'],
      ['made its handler throw', () => Promise.reject(new Error('on purpose'))],
    ])('redelivers an event that %s', async (_, first) => {
      const inbox = new Inbox();
      const object = newObject();
      inbox.on(object, () => (inbox.of(object).length < 3 ? first() : 'ack'));
      await consume(inbox);
      await put(object);
      await inbox.until(() => inbox.of(object).length === 3);
    });

    it('delivers further events while a handler is running', async () => {
      const inbox = new Inbox();
      const [slow, quick] = [newObject(), newObject()];
      const gate = Promise.withResolvers<EventVerdict>();
      inbox.on(slow, () => gate.promise);
      await consume(inbox);
      await put(slow);
      await inbox.until(() => inbox.of(slow).length > 0);
      await put(quick);
      await inbox.until(() => inbox.of(quick).length > 0);
      gate.resolve('ack');
    });

    it('reports a malformed event and continues', async () => {
      const inbox = new Inbox();
      await consume(inbox);
      await given.sendMalformed();
      await inbox.until(() => inbox.undeliverables.length > 0);
      const [event] = inbox.undeliverables;
      expect(event).toEqual({
        messageId: expect.stringMatching(/^.{1,255}$/),
        problem: expect.stringMatching(/./),
        attempts: 1,
        key: null,
        payload: expect.stringMatching(/./),
      });
      expect(given.reader.read(event!.payload)).toEqual({ problem: expect.stringMatching(/./) });
      const object = await put(newObject());
      await inbox.until(() => inbox.of(object).length > 0);
    });

    it('reports a dead letter with a stable message id until it is acknowledged', async () => {
      const inbox = new Inbox();
      inbox.verdictOnUndeliverable = () => (inbox.undeliverables.length < 3 ? 'pause' : 'ack');
      const object = newObject();
      await consume(inbox);
      await given.sendGivenUp(object);
      await inbox.until(() => inbox.undeliverables.length === 3);
      const [first, ...again] = inbox.undeliverables;
      expect(first).toMatchObject({ key: object.key, problem: expect.stringMatching(/given up/) });
      expect(again).toEqual([first, first]);
      expect(given.reader.read(first!.payload)).toEqual({ key: object.key });
      expect(inbox.of(object)).toEqual([]);
    });

    it('waits for running handlers on stop and keeps their acknowledgements', async () => {
      const inbox = new Inbox();
      const object = newObject();
      const gate = Promise.withResolvers<EventVerdict>();
      inbox.on(object, () => gate.promise);
      const consumer = await consume(inbox);
      await put(object);
      await inbox.until(() => inbox.of(object).length > 0);
      let stopped = false;
      const stopping = consumer.stop(STOP_MS).then(() => (stopped = true));
      await new Promise(setImmediate);
      expect(stopped).toBe(false);
      gate.resolve('ack');
      await stopping;

      const later = await put(newObject());
      const next = new Inbox();
      await consume(next);
      await next.until(() => next.of(later).length > 0);
      expect(next.of(object)).toEqual([]);
    });

    it('returns an event whose handler outlasts the stop timeout', async () => {
      const inbox = new Inbox();
      const object = newObject();
      inbox.on(object, () => new Promise<never>(() => undefined));
      const consumer = await consume(inbox);
      await put(object);
      await inbox.until(() => inbox.of(object).length > 0);
      await consumer.stop(10);

      const next = new Inbox();
      await consume(next);
      await next.until(() => next.of(object).length > 0);
    });

    it('can be stopped without having been started', async () => {
      await given.consumer().stop(STOP_MS);
    });
  });
}
