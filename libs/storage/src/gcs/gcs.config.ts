import { IsOptional, IsString, Matches, MinLength } from 'class-validator';
import { Variable } from '#libs/runtime';
import type { GcsOptions } from './gcs-client.js';
import type { Proxy } from './media.js';

/** Property decorator: the value must be an HTTP URL, e.g. of a proxy `http://host:port`. */
export const HttpUrl = () =>
  Matches(/^https?:\/\//, { message: '$property must be an http:// or https:// URL' });

/** Connection of the Google Cloud Storage adapters. */
export class GcsConfig implements GcsOptions {
  @Variable('GOOGLE_CLOUD_PROJECT')
  @IsString()
  @MinLength(1)
  readonly projectId: string;

  @Variable('GCS_API_ENDPOINT')
  @IsOptional()
  @HttpUrl()
  readonly endpoint?: string;

  /** The proxy variables have these names because Google's clients read them from the environment. */
  @Variable('HTTP_PROXY')
  @IsOptional()
  @HttpUrl()
  readonly HTTP_PROXY?: string;

  @Variable('http_proxy')
  @IsOptional()
  @HttpUrl()
  readonly http_proxy?: string;

  @Variable('HTTPS_PROXY')
  @IsOptional()
  @HttpUrl()
  readonly HTTPS_PROXY?: string;

  @Variable('https_proxy')
  @IsOptional()
  @HttpUrl()
  readonly https_proxy?: string;

  @Variable('NO_PROXY')
  @IsOptional()
  @IsString()
  readonly NO_PROXY?: string;

  @Variable('no_proxy')
  @IsOptional()
  @IsString()
  readonly no_proxy?: string;

  /**
   * The proxy that Google's clients use: the first variable in their order of precedence, for HTTP and HTTPS alike;
   * undefined without a proxy.
   */
  get proxy(): Proxy | undefined {
    const url = this.HTTP_PROXY ?? this.http_proxy ?? this.HTTPS_PROXY ?? this.https_proxy;
    return url === undefined ? undefined : { url, except: this.NO_PROXY ?? this.no_proxy };
  }
}
