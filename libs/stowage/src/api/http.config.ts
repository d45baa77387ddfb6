import { IsOptional, IsString, Matches } from 'class-validator';
import { Variable, Whole, Words } from '#libs/runtime';
import { CLIENT_HEADERS } from './cross-origin.js';

/** Address of the HTTP server, and the hosts and origins that it serves. */
export class HttpConfig {
  @Variable('PORT')
  @Whole(1, 65_535)
  readonly port: number = 3000;

  @Variable('HOST')
  @IsString()
  readonly host: string = '0.0.0.0';

  /**
   * Accepted values of the Host header, with port. If set, Origin and Sec-Fetch-Site are checked too: only pages of
   * CORS_ORIGINS and of the API itself may send requests. If not, every request is served. The embedded stack sets it.
   */
  @Variable('ALLOWED_HOSTS')
  @IsOptional()
  @Words()
  readonly allowedHosts?: readonly string[];

  /** Origins of web pages that may use the API: `https://app.example`, or `*` for all. */
  @Variable('CORS_ORIGINS')
  @Words()
  @Matches(/^(\*|https?:\/\/[^/?#@\s]+)$/, {
    each: true,
    message: '$property must be origins such as https://app.example, without a path, or *',
  })
  readonly corsOrigins: readonly string[] = [];

  /** Headers that pages of other origins may send in addition to those of this API. */
  @Variable('CORS_HEADERS')
  @Words()
  @Matches(/^[!#$%&'*+.^_`|~0-9a-z-]+$/, {
    each: true,
    message: '$property must be header names such as traceparent, separated by commas',
  })
  readonly corsHeaders: readonly string[] = CLIENT_HEADERS;
}
