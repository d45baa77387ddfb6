import { IsIn } from 'class-validator';
import { Variable } from './configuration.js';

export class LoggingConfig {
  @Variable('LOG_LEVEL')
  @IsIn(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
  readonly level: string = 'info';
}
