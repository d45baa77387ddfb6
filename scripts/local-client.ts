import { signToken } from '../apps/local/src/token.ts';
import { Client } from './client.ts';
import { localStack } from './stack.ts';

/**
 * The client of a command with the options `--url` and `--token`. Without them: user 1 of the embedded stack.
 * @param admin whether user 1 is an operator
 * @throws Error if the embedded stack is needed and was not found
 */
export async function localClient(
  { url, token }: { readonly url?: string; readonly token?: string },
  admin = false,
): Promise<Client> {
  if (url !== undefined && token !== undefined) return new Client(url, token);
  const { port, secrets } = await localStack();
  return new Client(
    url ?? `http://127.0.0.1:${port}/graphql`,
    token ?? (await signToken(secrets.jwtSecret, { subject: '1', admin })),
  );
}
