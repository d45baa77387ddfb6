import type { FileToRead, Limits } from './reader.js';

/** File descriptor of the channel, in both directions. Libraries may print to stdout and stderr, but not here. */
export const CHANNEL_FD = 3;
/** Last argument of a child process that has a channel. */
export const SERVE = 'serve';

/** A file for a module of a feature. */
export interface ExtensionFile {
  /** The whole file, as in an inspection. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly mediaType: string;
}

/** A request to a child process, which receives one at a time. */
export type Task =
  | { readonly kind: 'detect'; readonly head: Buffer; readonly sizeBytes: number }
  | {
      readonly kind: 'detect-archive';
      readonly tail: Buffer;
      readonly sizeBytes: number;
      readonly detected: string | null;
    }
  | {
      readonly kind: 'inspect';
      readonly file: Omit<FileToRead, 'detected'> & { readonly detected: string | null };
      readonly limits: Limits;
    }
  | {
      readonly kind: 'extension';
      /** Path of a feature's module, and the function that it exports. */
      readonly module: string;
      readonly export: 'read' | 'check';
      readonly file: ExtensionFile;
    };

export type ChildRequest = Task & { readonly id: string };

/** A message from a child process: one when it is ready, then one for each request. */
export type ChildResponse =
  | { readonly ready: true }
  | {
      readonly id: string;
      /** CPU time since the process started. */
      readonly cpuSeconds: number;
      readonly value?: unknown;
      /** Name and code of the error, instead of `value`. */
      readonly failed?: string;
    };
