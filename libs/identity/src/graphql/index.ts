import { Module } from '@nestjs/common';
import { AdminResolver } from './admin.resolver.js';

export * from './actor.guard.js';
export { AdminModel, assertOperator } from './admin.resolver.js';

@Module({ providers: [AdminResolver] })
export class IdentityGraphQLModule {}
