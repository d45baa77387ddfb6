export interface UploadOptions {
  readonly maxUploadBytes: number;
  /** How long a ticket may be started, seconds. */
  readonly urlSeconds: number;
}

export const UPLOAD_OPTIONS = Symbol('UPLOAD_OPTIONS');
