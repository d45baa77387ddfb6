export * from './scanner.contract.js';
