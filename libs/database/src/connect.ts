import pg from 'pg';
import { waitFor } from '#libs/runtime';

/** The client's own time limit, and a server that is still starting. */
const isTemporary = (error: unknown) =>
  error instanceof Error && (/timeout/.test(error.message) || ('code' in error && error.code === '57P03'));

/**
 * Connects a client outside of any pool. A server that does not answer in time, as on a busy machine, is asked again; one
 * that refuses is not. The caller must end the client.
 * @throws Error of the server or the network
 */
export function connectClient(config: pg.ClientConfig): Promise<pg.Client> {
  const attempt = async () => {
    const client = new pg.Client(config);
    // A connection that breaks between two statements fails the next; without a listener it would end the process.
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
