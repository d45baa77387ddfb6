import { Module } from '@nestjs/common';
import { AssetRemovalResolver } from './asset-removal.resolver.js';
import { AssetsResolver } from './assets.resolver.js';

export * from './asset.model.js';
export * from './enums.js';

@Module({ providers: [AssetsResolver, AssetRemovalResolver] })
export class AssetsGraphQLModule {}
