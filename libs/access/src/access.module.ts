import { Module } from '@nestjs/common';
import { ContributionsModule } from '#libs/runtime';
import { FeatureGrantsService } from './feature-grants.service.js';
import { PrincipalSources } from './principal-sources.js';

/** Principal sources of features, and grants to their principals. Needs `DatabaseModule`. */
@Module({
  imports: [ContributionsModule],
  providers: [PrincipalSources, FeatureGrantsService],
  exports: [PrincipalSources, FeatureGrantsService],
})
export class AccessModule {}
