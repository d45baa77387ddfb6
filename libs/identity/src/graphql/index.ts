export * from './actor.guard.js';
