import { IsOptional, IsString, Matches } from 'class-validator';
import { Bytes, Flag, Rule, Variable } from '#libs/runtime';

export class ScannerConfig {
  /** Address of clamd: `host:port`, or `unix:/path` for a socket. */
  @Variable('CLAMD_ADDRESS')
  @IsOptional()
  @Matches(/^(unix:\/.+|[^:\s]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})$/, {
    message: '$property must be host:port or unix:/path',
  })
  readonly address?: string;

  /** At most clamd's StreamMaxLength, MaxFileSize and MaxScanSize. */
  @Variable('CLAMD_MAX_BYTES')
  @Bytes()
  readonly maxBytes: number = 2000 * 2 ** 20;

  /** Suffix of the scanner's name. A new label makes the worker scan all stored files again. */
  @Variable('SCANNER_LABEL')
  @IsOptional()
  @Matches(/^[\w.:+-]{1,40}$/, { message: '$property must be 1 to 40 letters, digits, or one of _.:+-' })
  readonly suffix?: string;

  /** File with one SHA-256 per line, for the scanner that is used without clamd. */
  @Variable('MALWARE_HASHES')
  @IsOptional()
  @IsString()
  readonly hashesFile?: string;

  /** Whether the worker requires a virus scanner to start; by default only if NODE_ENV is `production`. */
  @Variable('SCANNER_REQUIRED')
  @IsOptional()
  @Flag()
  readonly required?: boolean;

  @Variable('NODE_ENV')
  @Rule(
    'set CLAMD_ADDRESS, or SCANNER_REQUIRED=false to store files without a virus scan',
    ({ isRequired, address }: ScannerConfig) => !isRequired || address !== undefined,
  )
  readonly nodeEnv?: string;

  /** Whether files may be stored only if clamd has scanned them. */
  get isRequired(): boolean {
    return this.required ?? this.nodeEnv === 'production';
  }
}
