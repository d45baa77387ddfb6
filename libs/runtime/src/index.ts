export * from './admission.js';
export * from './environment.js';
export * from './health/health-checks.js';
export { HealthModule } from './health/health.module.js';
export * from './logging.js';
export { MetricsModule } from './metrics/metrics.module.js';
export * from './priority.js';
export * from './release.js';
export * from './serve.js';
