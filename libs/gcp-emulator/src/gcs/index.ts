export { startGcsEmulator, type GcsEmulator, type GcsEmulatorOptions } from './server.js';
export type { HmacKey, RsaKey } from './xml/v4-verifier.js';
export type { ClockControl } from './clock.js';
export type { ActiveRule, FaultControl } from './faults/faults.js';
export type { Direction, EventFault, FaultRule, RequestFault } from './faults/rule.js';
export type { DamageControl, MetadataPatch, PutOptions } from './store/damage.js';
