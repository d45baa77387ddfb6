export * from './access.module.js';
export * from './access-statement.js';
export * from './client-grants.service.js';
export * from './feature-grants.service.js';
export * from './grants.js';
export { type GrantedEnds, grantedOf, GRANTS_SQL, insertGrantsSql } from './grants.sql.js';
export * from './permissions.js';
export { PrincipalSource, type PrincipalSourceOptions, validSources } from './principal-source.js';
export * from './principal-sources.js';
