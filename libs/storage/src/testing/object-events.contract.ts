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

export interface ObjectEventsSetup {
  /** Another consumer of the same events. Events given back come again at once, pauses are short. */
  consumer(): ObjectEvents;
  readonly bucket: string;
  readonly put: Put;
  /** Sends something that is no event of an object. */
  sendMalformed(): Promise<void>;
  /** Sends an event of this object, which has been given up. */
  sendGivenUp(object: ObjectRef): Promise<void>;
  readonly reader: ObjectEventReader;
  close?(): Promise<void>;
}

type Verdict = EventVerdict | Promise<EventVerdict>;
const STOP_MS = 5000;

/** Notes what arrives; events that no test is waiting for are left-overs and acknowledged. */
class Inbox implements ObjectEventHandler {
  private readonly verdicts = new Map<string, (event: ObjectFinalized) => Verdict>();
  private readonly completion: (() => void)[] = [];
  readonly events: ObjectFinalized[] = [];
  readonly undeliverables: UndeliverableEvent[] = [];
  verdictOnUndeliverable: () => EventVerdict = () => 'ack';

  on({ key }: ObjectRef, verdict: (event: ObjectFinalized) => Verdict): void {
    this.verdicts.set(key, verdict);
  }

  async finalized(event: ObjectFinalized): Promise<EventVerdict> {
    this.note(this.events, event);
    return (await this.verdicts.get(event.key)?.(event)) ?? 'ack';
  }

  undeliverable(event: UndeliverableEvent): Promise<EventVerdict> {
    this.note(this.undeliverables, event);
    return Promise.resolve(this.verdictOnUndeliverable());
  }

  private note<T>(list: T[], event: T): void {
    list.push(event);
    for (const check of this.completion.splice(0)) check();
  }

  of({ key }: ObjectRef): ObjectFinalized[] {
    return this.events.filter((event) => event.key === key);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.completion.push(resolve));
  }
}

/** What every {@link ObjectEvents} does. Call it at the top level of a spec file. */
export function objectEventsContract(name: string, setup: () => Promise<ObjectEventsSetup>): void {
  describe(`the object events contract: ${name}`, () => {
    let given: ObjectEventsSetup;
    const running: ObjectEvents[] = [];
    beforeAll(async () => {
      given = await setup();
    });
    afterEach(() => Promise.all(running.splice(0).map((events) => events.stop(STOP_MS))));
    afterAll(() => given.close?.());

    const place = () => ({ bucket: given.bucket, key: randomUUID() });
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

    it('tells of every object, at its version', async () => {
      const inbox = new Inbox();
      const before = await put(place());
      await consume(inbox);
      const objects = [before, ...(await Promise.all(Array.from({ length: 20 }, () => put(place()))))];
      await inbox.until(() => objects.every((object) => inbox.of(object).length > 0));
      for (const object of objects) {
        expect(inbox.of(object)[0]).toEqual({ ...object, messageId: expect.stringMatching(/./) });
      }
    });

    it.each<[string, () => Verdict]>([
      ['is given back', () => 'nack'],
      ['cannot be handled now', () => 'pause'],
      ['makes its handler throw', () => Promise.reject(new Error('on purpose'))],
    ])('tells again of an event that %s', async (_, first) => {
      const inbox = new Inbox();
      const object = place();
      inbox.on(object, () => (inbox.of(object).length < 3 ? first() : 'ack'));
      await consume(inbox);
      await put(object);
      await inbox.until(() => inbox.of(object).length === 3);
    });

    it('goes on with others while one is being handled', async () => {
      const inbox = new Inbox();
      const [slow, quick] = [place(), place()];
      const gate = Promise.withResolvers<EventVerdict>();
      inbox.on(slow, () => gate.promise);
      await consume(inbox);
      await put(slow);
      await inbox.until(() => inbox.of(slow).length > 0);
      await put(quick);
      await inbox.until(() => inbox.of(quick).length > 0);
      gate.resolve('ack');
    });

    it('tells of what is malformed, and goes on', async () => {
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
      const object = await put(place());
      await inbox.until(() => inbox.of(object).length > 0);
    });

    it('tells of what was given up, under the same name until that is taken', async () => {
      const inbox = new Inbox();
      inbox.verdictOnUndeliverable = () => (inbox.undeliverables.length < 3 ? 'pause' : 'ack');
      const object = place();
      await consume(inbox);
      await given.sendGivenUp(object);
      await inbox.until(() => inbox.undeliverables.length === 3);
      const [first, ...again] = inbox.undeliverables;
      expect(first).toMatchObject({ key: object.key, problem: expect.stringMatching(/given up/) });
      expect(again).toEqual([first, first]);
      expect(given.reader.read(first!.payload)).toEqual({ key: object.key });
      expect(inbox.of(object)).toEqual([]);
    });

    it('waits for running handlers when it stops, and what they acknowledged is done', async () => {
      const inbox = new Inbox();
      const object = place();
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

      const later = await put(place());
      const next = new Inbox();
      await consume(next);
      await next.until(() => next.of(later).length > 0);
      expect(next.of(object)).toEqual([]);
    });

    it('gives back what is still being handled when the time to stop is over', async () => {
      const inbox = new Inbox();
      const object = place();
      inbox.on(object, () => new Promise<never>(() => undefined));
      const consumer = await consume(inbox);
      await put(object);
      await inbox.until(() => inbox.of(object).length > 0);
      await consumer.stop(10);

      const next = new Inbox();
      await consume(next);
      await next.until(() => next.of(object).length > 0);
    });

    it('stops before it was started', async () => {
      await given.consumer().stop(STOP_MS);
    });
  });
}
