import type { FileToRead, Limits } from './reader.js';

/** Both ways, and nobody else's: libraries may print. */
export const CHANNEL_FD = 3;
/** The last argument of a process that has a channel. */
export const SERVE = 'serve';

/** What the parent asks, one thing at a time. */
export type Task =
  | { readonly kind: 'detect'; readonly head: Buffer }
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

export type Question = Task & { readonly id: string };

/** What a child says: that it is there, then one answer to each question. */
export type Answer =
  | { readonly ready: true }
  | {
      readonly id: string;
      /** Processor time that it has used since it began. */
      readonly cpuSeconds: number;
      readonly value?: unknown;
      /** Instead of a value: the error's name and code. */
      readonly failed?: string;
    };
