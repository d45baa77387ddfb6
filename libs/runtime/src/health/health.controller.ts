import { Controller, Get, Header, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { HealthService, type Readiness } from './health.service.js';

/** Liveness and readiness probes for orchestrators and load balancers. */
@Controller('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  /** Liveness: the process responds. Dependencies are not checked. */
  @Get('live')
  @Header('cache-control', 'no-store')
  live(): { ok: true } {
    return { ok: true };
  }

  /** Readiness: 200 if requests can be served, otherwise 503. */
  @Get('ready')
  @Header('cache-control', 'no-store')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Readiness> {
    const readiness = await this.health.readiness();
    reply.status(readiness.ok ? 200 : 503);
    return readiness;
  }
}
