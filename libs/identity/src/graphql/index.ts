import { Module } from '@nestjs/common';
import { AdminResolver } from './admin.resolver.js';
import { ViewerResolver } from './viewer.resolver.js';

export * from './actor.guard.js';
export { AdminModel, assertOperator } from './admin.resolver.js';
export { ViewerModel } from './viewer.resolver.js';

@Module({ providers: [AdminResolver, ViewerResolver] })
export class IdentityGraphQLModule {}
