import { type ClassConstructor, plainToInstance, Transform } from 'class-transformer';
import {
  ArrayNotEmpty,
  IsArray,
  IsBoolean,
  IsIn,
  IsInt,
  IsOptional,
  IsString,
  Matches,
  Max,
  Min,
  MinLength,
  validateSync,
} from 'class-validator';

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

const TYPE_OR_FAMILY = /^[a-z0-9][a-z0-9!#$&^_.+-]*\/(\*|[a-z0-9][a-z0-9!#$&^_.+-]*)$/;

function parseBytes(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const match = /^(\d+)\s*([KMGT]?i?B)?$/i.exec(value.trim());
  const unit = UNITS[(match?.[2] ?? 'B').toUpperCase()];
  return match === null || unit === undefined ? value : Number(match[1]) * unit;
}

/** Declares a whole number within bounds. */
export function Whole(min: number, max: number = Number.MAX_SAFE_INTEGER): PropertyDecorator {
  return (target, name) => {
    const key = String(name);
    Transform(({ value }: { value: unknown }) =>
      typeof value === 'string' && /^\d+$/.test(value.trim()) ? Number(value) : value,
    )(target, key);
    IsInt()(target, key);
    Min(min)(target, key);
    Max(max)(target, key);
  };
}

/** Declares a number of bytes: `5368709120`, `5 GiB`. */
export function Bytes(): PropertyDecorator {
  return (target, name) => {
    const key = String(name);
    Transform(({ value }: { value: unknown }) => parseBytes(value))(target, key);
    IsInt({ message: `${key} must be a number of bytes, such as 1048576 or 5 GiB` })(target, key);
    Min(0)(target, key);
    Max(Number.MAX_SAFE_INTEGER)(target, key);
  };
}

/** Declares a boolean: `true` or `false`. */
export function Flag(): PropertyDecorator {
  return (target, name) => {
    const key = String(name);
    const flags: Record<string, boolean> = { true: true, false: false };
    Transform(({ value }: { value: unknown }) =>
      typeof value === 'string' ? (flags[value.trim()] ?? value) : value,
    )(target, key);
    IsBoolean({ message: `${key} must be true or false` })(target, key);
  };
}

/** Declares a list of words, separated by commas or white space and converted to lower case. */
export function Words(): PropertyDecorator {
  return (target, name) => {
    const key = String(name);
    Transform(({ value }: { value: unknown }) =>
      typeof value === 'string'
        ? value
            .toLowerCase()
            .split(/[\s,]+/)
            .filter(Boolean)
        : value,
    )(target, key);
    IsArray()(target, key);
  };
}

/** Declares a list of media types and families: `image/png, audio/*`. */
export function Types(): PropertyDecorator {
  return (target, name) => {
    const key = String(name);
    Words()(target, key);
    const message = `${key} must be types and families such as image/png, audio/*`;
    Matches(TYPE_OR_FAMILY, { each: true, message })(target, key);
  };
}

/** Declares the optional URL of a proxy, `http://host:port`. */
function Proxy(): PropertyDecorator {
  return (target, name) => {
    const key = String(name);
    IsOptional()(target, key);
    Matches(/^https?:\/\//, { message: `${key} must be an http:// or https:// URL` })(target, key);
  };
}

/** Variables that both apps read. Each app adds its own; docs/operating.md documents every variable. */
export class Environment {
  @IsString()
  @Matches(/^postgres(ql)?:\/\//, { message: 'DATABASE_URL must be a postgresql:// URL' })
  DATABASE_URL: string;

  @Whole(1, 1000)
  DATABASE_POOL = 10;

  /** Maximum offset between the clocks of a process and of the database. */
  @Whole(1, 86_400)
  CLOCK_OFFSET_LIMIT_SECONDS = 30;

  @IsOptional()
  @Matches(/^rediss?:\/\//, { message: 'REDIS_URL must be a redis:// URL' })
  REDIS_URL?: string;

  @IsString()
  @MinLength(1)
  GOOGLE_CLOUD_PROJECT: string;

  @IsOptional()
  @Matches(/^https?:\/\//, { message: 'GCS_API_ENDPOINT must be an http:// or https:// URL' })
  GCS_API_ENDPOINT?: string;

  /** The proxy variables have these names because Google's clients read them from the environment. */
  @Proxy()
  HTTP_PROXY?: string;

  @Proxy()
  http_proxy?: string;

  @Proxy()
  HTTPS_PROXY?: string;

  @Proxy()
  https_proxy?: string;

  @IsOptional()
  @IsString()
  NO_PROXY?: string;

  @IsOptional()
  @IsString()
  no_proxy?: string;

  @IsString()
  @MinLength(3)
  INCOMING_BUCKET: string;

  @IsString()
  @MinLength(3)
  CONTENT_BUCKET: string;

  /** Keys that encrypt upload session URLs in the database: the first encrypts, all decrypt. */
  @Words()
  @ArrayNotEmpty({ message: 'UPLOAD_SESSION_KEYS must be set' })
  @Matches(/^[0-9a-f]{64}$/, {
    each: true,
    message: 'UPLOAD_SESSION_KEYS must be keys of 64 hex digits each',
  })
  UPLOAD_SESSION_KEYS: string[] = [];

  @IsIn(['global', 'owner'])
  DEDUPE_SCOPE: 'global' | 'owner' = 'global';

  /** Media types and families (`image/png, audio/*`) that may be stored; empty allows all. */
  @Types()
  ALLOWED_TYPES: string[] = [];

  @Bytes()
  QUOTA_BYTES = 10 * 2 ** 30;

  @Whole(0, 2 ** 31 - 1)
  QUOTA_ASSETS = 100_000;

  @IsIn(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
  LOG_LEVEL = 'info';
}

/**
 * Returns the proxy that Google's clients use: the first variable in their order of precedence, for HTTP and HTTPS
 * alike; undefined without a proxy.
 */
export function proxyOf(config: Environment): { readonly url: string; readonly except?: string } | undefined {
  const url = config.HTTP_PROXY ?? config.http_proxy ?? config.HTTPS_PROXY ?? config.https_proxy;
  return url === undefined ? undefined : { url, except: config.NO_PROXY ?? config.no_proxy };
}

/**
 * Reads and validates an environment. An empty variable counts as unset.
 * @throws Error that names every invalid variable but none of their values
 * @example const config = readEnvironment(Environment, process.env);
 */
export function readEnvironment<T extends object>(type: ClassConstructor<T>, env: NodeJS.ProcessEnv): T {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const config = plainToInstance(type, given, { exposeDefaultValues: true });
  const problems = validateSync(config, { validationError: { target: false, value: false } }).flatMap(
    (error) => Object.values(error.constraints ?? {}).slice(0, 1),
  );
  if (problems.length > 0) throw new Error(`Configuration: ${problems.join('; ')}.`);
  return config;
}
