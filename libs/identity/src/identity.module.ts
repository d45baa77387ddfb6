import { Module } from '@nestjs/common';
import { IdentityService } from './identity.service.js';
import { OwnersRepository } from './owners.repository.js';
import { TokenRevocationsRepository } from './token-revocations.repository.js';
import { TokenRevocationsService } from './token-revocations.service.js';

/** Authentication. Needs `DatabaseModule`. */
@Module({
  providers: [IdentityService, OwnersRepository, TokenRevocationsRepository, TokenRevocationsService],
  exports: [IdentityService, TokenRevocationsService],
})
export class IdentityModule {}
