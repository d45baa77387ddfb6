import { Module } from '@nestjs/common';
import { IdentityService } from './identity.service.js';

/** Authentication. */
@Module({ providers: [IdentityService], exports: [IdentityService] })
export class IdentityModule {}
