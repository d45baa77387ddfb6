import { Module } from '@nestjs/common';
import { ContributionsModule } from '#libs/runtime';
import { ClientGrantsService } from './client-grants.service.js';
import { FeatureGrantsService } from './feature-grants.service.js';
import { PrincipalSources } from './principal-sources.js';

const SERVICES = [ClientGrantsService, FeatureGrantsService];

/** Grants to callers and features, and principal sources of features. Needs `DatabaseModule`. */
@Module({
  imports: [ContributionsModule],
  providers: [PrincipalSources, ...SERVICES],
  exports: [PrincipalSources, ...SERVICES],
})
export class AccessModule {}
