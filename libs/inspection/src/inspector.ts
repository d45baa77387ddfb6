import { Injectable } from '@nestjs/common';
import { type AssetProperties, NO_PROPERTIES, type VariantProfile } from '#libs/domain';
import { detectType } from './child/detect-type.js';

export interface InspectionRequest {
  /** The whole file on disk; nothing but it is shown to the process that reads it. */
  readonly path: string;
  readonly sizeBytes: number;
  /** As found in the head of the file. */
  readonly detected: string | null;
  /** What to make of it, if it is a picture. */
  readonly profiles: readonly VariantProfile[];
}

/** A smaller picture, without anything of the original but its pixels. */
export interface Rendition {
  readonly profile: VariantProfile;
  readonly width: number;
  readonly height: number;
  readonly bytes: Buffer;
}

export type RefusalCode = 'UNREADABLE' | 'TOO_MANY_PIXELS' | 'TYPE_MISMATCH';

/** What a look into a whole file has found. */
export interface Inspection {
  /** The detected type, or a more exact one that only the whole file shows (an office document in a zip). */
  readonly detected: string | null;
  readonly properties: AssetProperties;
  readonly renditions: readonly Rendition[];
  /** Why the file must not be stored, whatever was declared. */
  readonly refusal: { readonly code: RefusalCode; readonly message: string } | null;
  /** Why a scanner cannot have looked into all of it; null when nothing speaks against that. */
  readonly opaque: string | null;
}

/** A process that looked into a file ended or was ended: one attempt at one file. */
export class InspectionFailed extends Error {}

export interface InspectionOptions {
  readonly processes: number;
  /** Wall and processor time for one look into a file. */
  readonly seconds: number;
  readonly memoryBytes: number;
  readonly maxPixels: number;
  readonly maxFrames: number;
}

export const INSPECTION_OPTIONS = Symbol('INSPECTION_OPTIONS');

/** Looks into bytes that nobody vouches for, in processes that can do no harm. */
@Injectable()
export class Inspector {
  /** The media type that the first bytes of a file show, or null when they show none. An empty file is text. */
  detect(head: Buffer, signal?: AbortSignal): Promise<string | null> {
    signal?.throwIfAborted();
    return detectType(head);
  }

  /** @throws InspectionFailed */
  async inspect({ detected }: InspectionRequest, signal?: AbortSignal): Promise<Inspection> {
    signal?.throwIfAborted();
    return Promise.resolve({
      detected,
      properties: NO_PROPERTIES,
      renditions: [],
      refusal: null,
      opaque: null,
    });
  }
}
