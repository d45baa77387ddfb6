import { readFileSync } from 'node:fs';
import { IsOptional, IsString } from 'class-validator';
import { Variable } from '#libs/runtime';
import { HttpUrl } from './gcs.config.js';
import type { GcsUrlSignerOptions } from './gcs-url-signer.js';

/** Key and endpoint of the URLs for clients. */
export class GcsSigningConfig {
  @Variable('GCS_HMAC_ACCESS_ID')
  @IsOptional()
  @IsString()
  readonly accessId?: string;

  @Variable('GCS_HMAC_SECRET')
  @IsOptional()
  @IsString()
  readonly secret?: string;

  /** Path of a service account's key file. Its RSA key signs URLs if no HMAC key is set. */
  @Variable('GOOGLE_APPLICATION_CREDENTIALS')
  @IsOptional()
  @IsString()
  readonly keyFile?: string;

  /** Storage endpoint for clients, if it differs from the API's endpoint. */
  @Variable('GCS_PUBLIC_ENDPOINT')
  @IsOptional()
  @HttpUrl()
  readonly publicEndpoint?: string;
}

/**
 * Reads the key that signs URLs: HMAC if set, otherwise the service account's.
 * @throws Error with a message of one sentence
 */
export function readSigningKey({ accessId, secret, keyFile }: GcsSigningConfig): GcsUrlSignerOptions['key'] {
  if (accessId !== undefined && secret !== undefined) return { accessId, secret };
  if (keyFile === undefined) {
    throw new Error(
      'Configuration: set GCS_HMAC_ACCESS_ID and GCS_HMAC_SECRET, or GOOGLE_APPLICATION_CREDENTIALS.',
    );
  }
  const { client_email: clientEmail, private_key: privateKeyPem } = readKeyFile(keyFile);
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
