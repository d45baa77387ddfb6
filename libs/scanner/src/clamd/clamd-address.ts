import { isAbsolute } from 'node:path';
import type { NetConnectOpts } from 'node:net';

/**
 * Parses the address of clamd: `host:port`, `[::1]:port`, or `unix:/path` of its socket.
 * @throws Error with one sentence for the operator
 */
export function parseClamdAddress(address: string): NetConnectOpts {
  if (address.startsWith('unix:') && isAbsolute(address.slice(5))) return { path: address.slice(5) };
  const [, bracketed, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? name;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new Error(`${JSON.stringify(address)} is not a clamd address; use host:port or unix:/path.`);
  }
  return { host, port };
}
