import { Injectable } from '@nestjs/common';
import { OCTET_STREAM, possibleTypesOf, resolveMediaType } from '#libs/domain';
import { InspectionExtensions } from './extensions.js';
import { isIn, OWN_TYPES } from './type-table.js';

const mayBeOwn = (declared: string) =>
  declared === OCTET_STREAM || possibleTypesOf(declared).some((type) => isIn(OWN_TYPES, type));

/** Tells which files are inspected, which requires the whole file on disk. */
@Injectable()
export class InspectedTypes {
  constructor(private readonly extensions: InspectionExtensions) {}

  /** Whether files of this type are inspected. */
  isInspected(type: string | null): boolean {
    const { readers, checks } = this.extensions;
    return isIn(OWN_TYPES, type) || isIn(readers, type) || isIn(checks, type);
  }

  /**
   * Whether the bytes of a file may turn out to be of an inspected type. True for all files once a feature adds a type: a
   * declared type does not limit the types that a check may detect.
   */
  mayBeInspected(declared: string): boolean {
    return !this.extensions.isEmpty || mayBeOwn(declared);
  }

  /** Whether the whole file is needed on disk, for the service itself or for a feature. */
  needsWholeFile(declared: string, detected: string | null): boolean {
    if (this.mustBeInspected(declared, detected)) return true;
    if (this.extensions.isEmpty) return false;
    const mediaType = resolveMediaType(declared, detected) ?? detected ?? declared;
    return (
      this.extensions.readersOf(mediaType).length > 0 ||
      this.extensions.checksOf(mediaType, detected).length > 0
    );
  }

  /**
   * Whether the service itself inspects the file: because of its detected type, or because its head shows no type while the
   * declared type is an inspected one. A file for which only a feature needs the disk can be stored without.
   */
  mustBeInspected(declared: string, detected: string | null): boolean {
    return (
      isIn(OWN_TYPES, detected) || (detected === null && declared !== OCTET_STREAM && mayBeOwn(declared))
    );
  }
}
