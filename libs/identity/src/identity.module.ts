import { Module } from '@nestjs/common';
import { IdentityService } from './identity.service.js';
import { OwnersRepository } from './owners.repository.js';

/** Authentication. */
@Module({ providers: [IdentityService, OwnersRepository], exports: [IdentityService] })
export class IdentityModule {}
