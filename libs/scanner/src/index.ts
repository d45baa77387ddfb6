export { ClamdScanner, type ClamdScannerOptions } from './clamd/clamd-scanner.js';
export * from './scanner.js';
export * from './configured-scanner.js';
export * from './scanner.config.js';
export * from './scanner.module.js';
export { readMalwareHashes } from './signature-list/malware-hashes.js';
export { type MalwareHash, SignatureListScanner } from './signature-list/signature-list-scanner.js';
