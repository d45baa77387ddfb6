import { Module } from '@nestjs/common';
import { Inspector } from './inspector.js';

/** Provides the `Inspector`. Requires `HealthModule` and `LoggerModule`. */
@Module({ providers: [Inspector], exports: [Inspector] })
export class InspectionModule {}
