import type { Database } from './database.js';
import type { NewMessage } from '../rpc/messages.js';

/** A message of a subscription's backlog; `attempt` counts its deliveries so far. */
export interface BacklogMessage extends NewMessage {
  readonly id: number;
  readonly publishedAt: number;
  readonly attempt: number;
}

/** One delivery of one message. An acknowledgement of an earlier delivery has no effect. */
export interface DeliveryRef {
  readonly messageId: number;
  readonly attempt: number;
}

const COLUMNS = `m.id, m.published_at AS publishedAt, m.size, m.ordering_key AS orderingKey, m.attributes, m.data,
                 d.attempt`;

/** SQL statements on messages and deliveries. Each method must run inside a transaction of the caller. */
export class Backlog {
  private readonly statements;

  constructor(database: Database) {
    const prepare = (sql: string) => database.prepare(sql);
    this.statements = {
      nextIds: prepare('UPDATE message_ids SET last = last + ? RETURNING last'),
      insertMessage: prepare(
        'INSERT INTO messages (id, published_at, size, ordering_key, attributes, data) VALUES (?, ?, ?, ?, ?, ?)',
      ),
      insertDelivery: prepare(
        'INSERT INTO deliveries (subscription_id, message_id, attempt, leased, available_at) VALUES (?, ?, 0, 0, ?)',
      ),
      due: prepare(
        `SELECT ${COLUMNS} FROM deliveries d CROSS JOIN messages m ON m.id = d.message_id
         WHERE d.subscription_id = ? AND d.available_at <= ? ORDER BY d.available_at, d.message_id LIMIT ?`,
      ),
      exhausted: prepare(
        `SELECT ${COLUMNS} FROM deliveries d INDEXED BY deliveries_attempted CROSS JOIN messages m ON m.id = d.message_id
         WHERE d.subscription_id = ? AND d.available_at <= ? AND d.attempt >= 5 AND d.attempt >= ? LIMIT ?`,
      ),
      lease: prepare(
        `UPDATE deliveries SET attempt = attempt + 1, leased = 1, available_at = ?
         WHERE subscription_id = ? AND message_id = ?`,
      ),
      reschedule: prepare(
        `UPDATE deliveries SET leased = ?, available_at = ?
         WHERE subscription_id = ? AND message_id = ? AND attempt = ? AND leased = 1`,
      ),
      acknowledge: prepare(
        'DELETE FROM deliveries WHERE subscription_id = ? AND message_id = ? AND attempt = ? AND leased = 1',
      ),
      drop: prepare('DELETE FROM deliveries WHERE subscription_id = ? AND message_id = ?'),
      dropExpired: prepare(
        `DELETE FROM deliveries WHERE subscription_id = ?1 AND message_id IN (
           SELECT m.id FROM (SELECT message_id FROM deliveries WHERE subscription_id = ?1 ORDER BY message_id LIMIT ?3) d
           CROSS JOIN messages m ON m.id = d.message_id WHERE m.published_at < ?2)`,
      ),
      dropAny: prepare(
        `DELETE FROM deliveries WHERE subscription_id = ?1 AND message_id IN (
           SELECT message_id FROM deliveries WHERE subscription_id = ?1 ORDER BY message_id LIMIT ?2)`,
      ),
    };
  }

  /** Stores each message once, and a delivery for each subscription. Ids increase and are never reused. */
  publish(subscriptionIds: readonly number[], messages: readonly NewMessage[], now: number): number[] {
    const last = Number(this.statements.nextIds.get(messages.length)?.last);
    const ids = messages.map((_, index) => last - messages.length + 1 + index);
    if (subscriptionIds.length === 0) return ids;
    for (const [index, { size, orderingKey, attributes, data }] of messages.entries()) {
      const id = ids[index] ?? 0;
      this.statements.insertMessage.run(id, now, size, orderingKey, attributes, data);
      for (const subscriptionId of subscriptionIds)
        this.statements.insertDelivery.run(subscriptionId, id, now);
    }
    return ids;
  }

  /** Due messages, longest waiting first. Rows are read lazily, so a caller that stops early reads no more. */
  due(subscriptionId: number, now: number, limit: number): Iterable<BacklogMessage> {
    return this.statements.due.iterate(subscriptionId, now, limit) as unknown as Iterable<BacklogMessage>;
  }

  /** Due messages with at least `maxAttempts` (5 or more) deliveries. */
  exhausted(subscriptionId: number, maxAttempts: number, now: number, limit: number): BacklogMessage[] {
    const rows = this.statements.exhausted.all(subscriptionId, now, maxAttempts, limit);
    return rows as unknown as BacklogMessage[];
  }

  lease(subscriptionId: number, messageId: number, availableAt: number): void {
    this.statements.lease.run(availableAt, subscriptionId, messageId);
  }

  /** Moves the end of a lease. No effect on a delivery that is over. */
  extend(subscriptionId: number, { messageId, attempt }: DeliveryRef, availableAt: number): void {
    this.statements.reschedule.run(1, availableAt, subscriptionId, messageId, attempt);
  }

  /** Ends a delivery without an acknowledgement. No effect on a delivery that is over. */
  refuse(subscriptionId: number, { messageId, attempt }: DeliveryRef, availableAt: number): void {
    this.statements.reschedule.run(0, availableAt, subscriptionId, messageId, attempt);
  }

  /** No effect on a delivery that is over. */
  acknowledge(subscriptionId: number, { messageId, attempt }: DeliveryRef): void {
    this.statements.acknowledge.run(subscriptionId, messageId, attempt);
  }

  drop(subscriptionId: number, messageId: number): void {
    this.statements.drop.run(subscriptionId, messageId);
  }

  /** Drops messages published before `before` from among the `limit` oldest; returns their number. */
  dropExpired(subscriptionId: number, before: number, limit: number): number {
    return Number(this.statements.dropExpired.run(subscriptionId, before, limit).changes);
  }

  /** Drops up to `limit` deliveries in any state; returns their number. */
  dropAny(subscriptionId: number, limit: number): number {
    return Number(this.statements.dropAny.run(subscriptionId, limit).changes);
  }
}
