import { Module } from '@nestjs/common';
import { ContributionsModule } from '#libs/runtime';
import { AccessExplanationsService } from './access-explanations.service.js';
import { ClientGrantsService } from './client-grants.service.js';
import { ExpiredGrantsService } from './expired-grants.service.js';
import { FeatureGrantsService } from './feature-grants.service.js';
import { PrincipalSources } from './principal-sources.js';

const SERVICES = [ClientGrantsService, FeatureGrantsService, AccessExplanationsService];

/** Grants to callers and features, principal sources of features, and explanations of access. Needs `DatabaseModule`. */
@Module({
  imports: [ContributionsModule],
  providers: [PrincipalSources, ...SERVICES],
  exports: [PrincipalSources, ...SERVICES],
})
export class AccessModule {}

/** The scheduled task of grants, for the worker. Needs `DatabaseModule`. */
@Module({ providers: [ExpiredGrantsService] })
export class AccessTasksModule {}
