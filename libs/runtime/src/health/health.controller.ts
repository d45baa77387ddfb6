import { Controller, Get, Header, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { HealthService, type Readiness } from './health.service.js';

/** For whatever starts this process and sends it requests. */
@Controller('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  /** The process answers; what it depends on is not asked. */
  @Get('live')
  @Header('cache-control', 'no-store')
  live(): { ok: true } {
    return { ok: true };
  }

  /** Whether requests can be served: 200, or 503. */
  @Get('ready')
  @Header('cache-control', 'no-store')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Readiness> {
    const readiness = await this.health.readiness();
    reply.status(readiness.ok ? 200 : 503);
    return readiness;
  }
}
