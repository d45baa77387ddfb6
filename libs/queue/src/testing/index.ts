export * from './queue.contract.js';
