import pg from 'pg';
import { waitFor } from '#libs/runtime';

/** Whether the client timed out, or the server is still starting (SQLSTATE 57P03). */
const isTemporary = (error: unknown) =>
  error instanceof Error && (/timeout/.test(error.message) || ('code' in error && error.code === '57P03'));

/**
 * Connects a client outside of the pool. Retries while the server does not answer in time, e.g. on a busy machine; a
 * server's refusal is not retried. The caller must end the client.
 * @throws Error of the server or the network
 */
export function connectClient(config: pg.ClientConfig): Promise<pg.Client> {
  const attempt = async () => {
    const client = new pg.Client(config);
    // A connection that breaks between two statements fails the next one; without a listener the process would crash.
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  };
  return waitFor('PostgreSQL', attempt, isTemporary);
}
