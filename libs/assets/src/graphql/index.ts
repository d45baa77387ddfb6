import { Module } from '@nestjs/common';
import { AssetsResolver } from './assets.resolver.js';

export * from './asset.model.js';
export * from './enums.js';

@Module({ providers: [AssetsResolver] })
export class AssetsGraphQLModule {}
