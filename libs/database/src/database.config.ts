import { IsString, Matches } from 'class-validator';
import { Variable, Whole } from '#libs/runtime';

/** Connection and limits of a process. */
export class DatabaseConfig {
  @Variable('DATABASE_URL')
  @IsString()
  @Matches(/^postgres(ql)?:\/\//, { message: '$property must be a postgresql:// URL' })
  readonly url: string;

  /** Maximum number of connections in this process's pool. */
  @Variable('DATABASE_POOL')
  @Whole(1, 1000)
  readonly poolSize: number = 10;

  /** Maximum offset between the clocks of a process and of the database. */
  @Variable('CLOCK_OFFSET_LIMIT_SECONDS')
  @Whole(1, 86_400)
  readonly clockLimitSeconds: number = 30;

  /** Time limit of a statement, in milliseconds. */
  readonly statementTimeoutMs: number = 10_000;

  /** Recorded names of the migrations without which the process refuses to start. */
  migrations: readonly string[] = [];
}
