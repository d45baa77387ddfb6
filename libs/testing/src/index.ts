export * from './emulators.js';
export * from './environment.js';
export * from './scripted-scanner.js';
export * from './stored-asset.js';
export * from './test-api.js';
export * from './test-database.js';
export * from './until.js';
export * from './world.js';
