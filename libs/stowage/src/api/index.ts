export { createApi } from './api.js';
export { API_CONFIGURATION, type ApiConfiguration, readApiConfig } from './config.js';
export { SCHEMA_MODULES } from './graphql.module.js';
