export { startGcsEmulator, type GcsEmulator, type GcsEmulatorOptions } from './server.js';
export type { HmacKey, RsaKey } from './xml/v4-verifier.js';
