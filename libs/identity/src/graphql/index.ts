import { Module } from '@nestjs/common';
import { IdentityModule } from '../identity.module.js';
import { AdminResolver } from './admin.resolver.js';
import { RevocationsResolver } from './revocations.resolver.js';
import { ViewerResolver } from './viewer.resolver.js';

export * from './actor.guard.js';
export { AdminModel, assertOperator } from './admin.resolver.js';
export { ViewerModel } from './viewer.resolver.js';

@Module({ imports: [IdentityModule], providers: [AdminResolver, RevocationsResolver, ViewerResolver] })
export class IdentityGraphQLModule {}
