import { ClamdScanner, readMalwareHashes, type Scanner, SignatureListScanner } from '#libs/scanner';
import type { WorkerEnvironment } from './config.js';

/** clamd where one is named, else the list of signatures. @throws Error in one sentence */
export async function scannerOf(config: WorkerEnvironment): Promise<Scanner> {
  const { CLAMD_ADDRESS, CLAMD_MAX_BYTES, SCANNER_LABEL, MALWARE_HASHES } = config;
  if (CLAMD_ADDRESS !== undefined) {
    return new ClamdScanner({ address: CLAMD_ADDRESS, maxBytes: CLAMD_MAX_BYTES, suffix: SCANNER_LABEL });
  }
  return new SignatureListScanner(
    MALWARE_HASHES === undefined ? [] : await readMalwareHashes(MALWARE_HASHES),
  );
}
