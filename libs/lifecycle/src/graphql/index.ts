import { Module } from '@nestjs/common';
import { TaskRunsModule } from '../lifecycle.module.js';
import { TaskRunsResolver } from './task-runs.resolver.js';

/** Runs of tasks for operators. */
@Module({ imports: [TaskRunsModule], providers: [TaskRunsResolver] })
export class LifecycleGraphQLModule {}
