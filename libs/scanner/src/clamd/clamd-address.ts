import { isAbsolute } from 'node:path';
import type { NetConnectOpts } from 'node:net';

/** Where clamd listens: `host:port`, `[::1]:port`, or `unix:/path` of its socket. @throws Error in one sentence */
export function parseClamdAddress(address: string): NetConnectOpts {
  if (address.startsWith('unix:') && isAbsolute(address.slice(5))) return { path: address.slice(5) };
  const [, bracketed, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? name;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new Error(`${JSON.stringify(address)} is no address of clamd: host:port or unix:/path is one.`);
  }
  return { host, port };
}
