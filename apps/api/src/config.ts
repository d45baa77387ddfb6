import { readFileSync } from 'node:fs';
import { IsOptional, IsString, Matches, MinLength, ValidateIf } from 'class-validator';
import { JSON_POINTER } from '#libs/identity';
import { Bytes, Environment, Flag, readEnvironment, Whole, Words } from '#libs/runtime';
import type { GcsUrlSignerOptions } from '#libs/storage/gcs';
import { CLIENT_HEADERS } from './cross-origin.js';

const pointer = (name: string) => ({
  message: `${name} must be a JSON Pointer such as /groups or /realm_access/roles (~1 for a slash in a name, ~0 for a tilde)`,
});

export class ApiEnvironment extends Environment {
  @Whole(1, 65_535)
  PORT = 3000;

  @IsString()
  HOST = '0.0.0.0';

  @ValidateIf((env: ApiEnvironment) => env.JWT_JWKS_URL === undefined)
  @IsString({ message: 'JWT_SECRET or JWT_JWKS_URL must be set' })
  @MinLength(32, { message: 'JWT_SECRET must have at least 32 characters' })
  JWT_SECRET?: string;

  @IsOptional()
  @Matches(/^https?:\/\//, { message: 'JWT_JWKS_URL must be an http:// or https:// URL' })
  JWT_JWKS_URL?: string;

  @IsString()
  @MinLength(1)
  JWT_ISSUER: string;

  @IsString()
  @MinLength(1)
  JWT_AUDIENCE: string;

  /** JSON Pointer of the claim with the caller's groups. */
  @Matches(JSON_POINTER, pointer('JWT_GROUPS_POINTER'))
  JWT_GROUPS_POINTER = '/groups';

  /** JSON Pointer of the claim with the token's scopes. */
  @Matches(JSON_POINTER, pointer('JWT_SCOPES_POINTER'))
  JWT_SCOPES_POINTER = '/scope';

  @IsOptional()
  @IsString()
  GCS_HMAC_ACCESS_ID?: string;

  @IsOptional()
  @IsString()
  GCS_HMAC_SECRET?: string;

  /** Path of a service account's key file. Its RSA key signs URLs if no HMAC key is set. */
  @IsOptional()
  @IsString()
  GOOGLE_APPLICATION_CREDENTIALS?: string;

  /** Only for the health check at `/health/ready`; the worker receives the events. */
  @IsOptional()
  @IsString()
  PUBSUB_SUBSCRIPTION?: string;

  @IsOptional()
  @IsString()
  PUBSUB_EMULATOR_HOST?: string;

  /** Storage endpoint for clients, if it differs from the API's endpoint. */
  @IsOptional()
  @Matches(/^https?:\/\//, { message: 'GCS_PUBLIC_ENDPOINT must be an http:// or https:// URL' })
  GCS_PUBLIC_ENDPOINT?: string;

  @Bytes()
  MAX_UPLOAD_BYTES = 5 * 2 ** 30;

  @Whole(1, 604_800)
  UPLOAD_URL_SECONDS = 900;

  /** At least 900, the default lifetime of `downloadUrl`. */
  @Whole(900, 604_800)
  DOWNLOAD_URL_MAX_SECONDS = 3600;

  /** Request weight per caller and minute; 0 for no limit. */
  @Whole(0)
  RATE_LIMIT_PER_MINUTE = 6000;

  /** Maximum number of open subscriptions of one owner, over all of the owner's sockets. */
  @Whole(1)
  SUBSCRIPTIONS_PER_OWNER = 1000;

  /** Bytes that all sockets of one owner may leave unread before the socket with the most unread bytes is closed. */
  @Bytes()
  SUBSCRIPTION_BYTES_PER_OWNER = 8 * 2 ** 20;

  /** Messages handled and states sent per second for all sockets of one owner. */
  @Whole(1)
  SUBSCRIPTION_WORK_PER_SECOND = 200;

  /**
   * Accepted values of the Host header, with port. If set, Origin and Sec-Fetch-Site are checked too: only pages of
   * CORS_ORIGINS and of the API itself may send requests. If not, every request is served. The embedded stack sets it.
   */
  @IsOptional()
  @Words()
  ALLOWED_HOSTS?: string[];

  /** Origins of web pages that may use the API: `https://app.example`, or `*` for all. */
  @Words()
  @Matches(/^(\*|https?:\/\/[^/?#@\s]+)$/, {
    each: true,
    message: 'CORS_ORIGINS must be origins such as https://app.example, without a path, or *',
  })
  CORS_ORIGINS: string[] = [];

  /** Headers that pages of other origins may send in addition to those of this API. */
  @Words()
  @Matches(/^[!#$%&'*+.^_`|~0-9a-z-]+$/, {
    each: true,
    message: 'CORS_HEADERS must be header names such as traceparent, separated by commas',
  })
  CORS_HEADERS: string[] = CLIENT_HEADERS;

  /** Whether browsers get GraphiQL at /graphql; by default only if NODE_ENV is not `production`. */
  @IsOptional()
  @Flag()
  PLAYGROUND?: boolean;

  /** Token that the playground contains for every visitor. Only for the embedded stack. */
  @IsOptional()
  @IsString()
  PLAYGROUND_TOKEN?: string;
}

/** Reads the configuration at start. @throws Error with a message of one sentence */
export function readConfig(env: NodeJS.ProcessEnv): ApiEnvironment {
  const config = readEnvironment(ApiEnvironment, env);
  if (config.JWT_SECRET !== undefined && config.JWT_JWKS_URL !== undefined) {
    throw new Error('Configuration: set JWT_SECRET or JWT_JWKS_URL, not both.');
  }
  config.PLAYGROUND ??= env.NODE_ENV !== 'production';
  return config;
}

/**
 * Reads the key that signs URLs: HMAC if set, otherwise the service account's.
 * @throws Error with a message of one sentence
 */
export function readSigningKey(config: ApiEnvironment): GcsUrlSignerOptions['key'] {
  const {
    GCS_HMAC_ACCESS_ID: accessId,
    GCS_HMAC_SECRET: secret,
    GOOGLE_APPLICATION_CREDENTIALS: file,
  } = config;
  if (accessId !== undefined && secret !== undefined) return { accessId, secret };
  if (file === undefined) {
    throw new Error(
      'Configuration: set GCS_HMAC_ACCESS_ID and GCS_HMAC_SECRET, or GOOGLE_APPLICATION_CREDENTIALS.',
    );
  }
  const { client_email: clientEmail, private_key: privateKeyPem } = readKeyFile(file);
  if (clientEmail === undefined || privateKeyPem === undefined) {
    throw new Error(
      'Configuration: GOOGLE_APPLICATION_CREDENTIALS must name the key file of a service account.',
    );
  }
  return { clientEmail, privateKeyPem };
}

function readKeyFile(file: string): { client_email?: string; private_key?: string } {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { client_email?: string; private_key?: string };
  } catch {
    throw new Error('Configuration: the file of GOOGLE_APPLICATION_CREDENTIALS cannot be read as JSON.');
  }
}
