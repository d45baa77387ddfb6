import type { FileToRead, Limits } from './reader.js';

/** File descriptor of the channel, in both directions. Libraries may print to stdout and stderr, but not here. */
export const CHANNEL_FD = 3;
/** Last argument of a child process that has a channel. */
export const SERVE = 'serve';

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
