import { ClamdScanner } from './clamd/clamd-scanner.js';
import type { Scanner } from './scanner.js';
import type { ScannerConfig } from './scanner.config.js';
import { readMalwareHashes } from './signature-list/malware-hashes.js';
import { SignatureListScanner } from './signature-list/signature-list-scanner.js';

/**
 * Creates the clamd scanner if its address is configured, otherwise the hash list scanner.
 * @throws Error with a message of one sentence
 */
export async function scannerOf(config: ScannerConfig): Promise<Scanner> {
  const { address, maxBytes, suffix, hashesFile } = config;
  if (address !== undefined) return new ClamdScanner({ address, maxBytes, suffix });
  return new SignatureListScanner(hashesFile === undefined ? [] : await readMalwareHashes(hashesFile));
}
