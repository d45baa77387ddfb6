export { startPubSubEmulator } from './server.js';
export type { PubSubEmulator, PubSubEmulatorOptions } from './server.js';
