import type { Statement } from '#libs/database';
import {
  type AssetProperties,
  asIfUtc,
  type AssetStatus,
  localDateTimeOf,
  NO_PROPERTIES,
  type ObjectRef,
} from '#libs/domain';

/** A smaller rendition of an asset's bytes, and its location. */
export interface Variant extends ObjectRef {
  /** Name of the profile. */
  readonly name: string;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
  readonly sizeBytes: number;
}

/** Results of processing the bytes of an asset. */
export interface AssetContents {
  /** Null when the bytes were not inspected. */
  readonly properties: AssetProperties | null;
  /** Variants of a READY asset, ordered by width and then name; the newer one of two with one name. */
  readonly variants: readonly Variant[];
  /** Why a READY picture has no variants; null when it has them, and for other files. */
  readonly variantsReason: string | null;
  /** Engine and signatures of the scanner that found the bytes clean. Null also for bytes that could not be scanned. */
  readonly scannedBy: string | null;
}

export const NO_CONTENTS: AssetContents = {
  properties: null,
  variants: [],
  variantsReason: null,
  scannedBy: null,
};

/** Statuses of assets that may have contents. A DELETED asset may have been READY, and can be restored. */
const WITH_CONTENTS: readonly AssetStatus[] = ['READY', 'DELETED'];
export const mayHaveContents = ({ status }: { readonly status: AssetStatus }) =>
  WITH_CONTENTS.includes(status);

const column = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
/** Local times are read as if they were UTC; otherwise the database driver would apply the time zone of this process. */
const ZONES: Readonly<Record<string, string>> = { takenAtLocal: " at time zone 'UTC'" };
const PROPERTIES = Object.keys(NO_PROPERTIES).map(
  (name) => `p.${column(name)}${ZONES[name] ?? ''} as "${name}"`,
);

interface ContentsRow extends Omit<AssetProperties, 'takenAtLocal'> {
  assetId: string;
  takenAtLocal: Date | null;
  /** Whether a row of properties exists. */
  isInspected: boolean;
  variants: readonly Variant[];
  variantsReason: string | null;
  scannedBy: string | null;
}

/** Properties as the columns of `asset_properties` store them. */
export const propertyColumns = (properties: Partial<AssetProperties> | null) => ({
  ...properties,
  takenAtLocal: properties?.takenAtLocal ? asIfUtc(properties.takenAtLocal) : null,
});

/** Checks the status again, because an asset that was READY when it was read may have been rejected since. */
export const CONTENTS: Statement<ContentsRow> = {
  name: 'assets_contents',
  text: `select a.asset_id as "assetId", a.scanned_by as "scannedBy", p.asset_id is not null as "isInspected",
      ${PROPERTIES.join(', ')},
      (select coalesce(json_agg(json_build_object('name', v.name, 'mimeType', v.mime_type, 'width', v.width,
          'height', v.height, 'sizeBytes', v.size_bytes, 'bucket', v.bucket, 'key', v.key) order by v.width, v.name), '[]')
        from (select distinct on (name) * from object_variants
          where stored_object_id = a.stored_object_id and version is not null
          order by name, created_at desc, spec desc) v
        where a.status = 'READY') as variants,
      (select variants_reason from stored_objects where id = a.stored_object_id and a.status = 'READY') as "variantsReason"
    from media_assets a left join asset_properties p on p.asset_id = a.asset_id
    where a.asset_id = any($1::uuid[]) and a.status in (${WITH_CONTENTS.map((name) => `'${name}'`).join(', ')})`,
};

export const contentsFrom = ({
  assetId: _,
  isInspected,
  variants,
  variantsReason,
  scannedBy,
  takenAtLocal,
  ...properties
}: ContentsRow): AssetContents => ({
  properties: isInspected
    ? { ...properties, takenAtLocal: takenAtLocal && localDateTimeOf(takenAtLocal) }
    : null,
  variants,
  variantsReason,
  scannedBy,
});
