import { Module } from '@nestjs/common';
import { InspectedTypes } from './inspected-types.js';
import { Inspector } from './inspector.js';

/** Provides the `Inspector`. Requires `HealthModule`, `LoggerModule` and a provider of `InspectionExtensions`. */
@Module({ providers: [InspectedTypes, Inspector], exports: [InspectedTypes, Inspector] })
export class InspectionModule {}
