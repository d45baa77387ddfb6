export { configurationOf, defineFeature, type Feature, modulesOf } from './feature.js';
export { profilesOf } from './feature-content.js';
export { foundation } from './foundation.js';
export { StowageModule } from './stowage.module.js';
