export * from './asset.js';
export { type AssetContents, type Variant } from './asset-contents.js';
export * from './asset-removal.service.js';
export * from './assets.module.js';
export * from './assets.options.js';
export * from './assets.service.js';
export * from './incoming-objects.service.js';
export * from './stored-objects.service.js';
export * from './transitions.service.js';
