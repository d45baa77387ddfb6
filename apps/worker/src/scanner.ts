import { ClamdScanner, readMalwareHashes, type Scanner, SignatureListScanner } from '#libs/scanner';
import type { WorkerEnvironment } from './config.js';

/**
 * Creates the clamd scanner if its address is configured, otherwise the hash list scanner.
 * @throws Error with a message of one sentence
 */
export async function scannerOf(config: WorkerEnvironment): Promise<Scanner> {
  const { CLAMD_ADDRESS, CLAMD_MAX_BYTES, SCANNER_LABEL, MALWARE_HASHES } = config;
  if (CLAMD_ADDRESS !== undefined) {
    return new ClamdScanner({ address: CLAMD_ADDRESS, maxBytes: CLAMD_MAX_BYTES, suffix: SCANNER_LABEL });
  }
  return new SignatureListScanner(
    MALWARE_HASHES === undefined ? [] : await readMalwareHashes(MALWARE_HASHES),
  );
}
