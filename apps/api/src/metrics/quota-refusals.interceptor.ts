import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { type Observable, tap } from 'rxjs';
import { ERROR_KINDS, kindOf } from '#libs/domain';
import { Metrics } from './metrics.service.js';

/** Counts what quotas refused, both as an error and as an item of a batch. */
@Injectable()
export class QuotaRefusals implements NestInterceptor {
  constructor(private readonly metrics: Metrics) {}

  intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(
      tap({
        next: (result) =>
          this.metrics.quotaRefused(Array.isArray(result) ? result.filter(isRefusal).length : 0),
        error: (error) => this.metrics.quotaRefused(kindOf(error) === 'over-quota' ? 1 : 0),
      }),
    );
  }
}

const isRefusal = (item: unknown) =>
  item instanceof Object && 'code' in item && item.code === ERROR_KINDS['over-quota'].graphql;
