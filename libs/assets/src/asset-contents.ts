import type { Statement } from '#libs/database';
import {
  type AssetProperties,
  asIfUtc,
  type AssetStatus,
  localDateTimeOf,
  NO_PROPERTIES,
  type ObjectRef,
} from '#libs/domain';

/** A smaller rendition of an asset's bytes, and where it lies. */
export interface Variant extends ObjectRef {
  /** Its profile's. */
  readonly name: string;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
  readonly sizeBytes: number;
}

/** What processing found out about the bytes of an asset, and made of them. */
export interface AssetContents {
  /** Null where nothing was looked for. */
  readonly properties: AssetProperties | null;
  /** Of a READY asset, by width and then name; of two with one name the newer. */
  readonly variants: readonly Variant[];
  /** Why a READY picture has no variants; null when it has them, and for other files. */
  readonly variantsReason: string | null;
  /** Who found the bytes clean: engine and signatures. Null too for bytes that nobody could look into. */
  readonly scannedBy: string | null;
}

export const NO_CONTENTS: AssetContents = {
  properties: null,
  variants: [],
  variantsReason: null,
  scannedBy: null,
};

/** Statuses of which there is something to show: DELETED are those too that were READY, and may be again. */
const WITH_CONTENTS: readonly AssetStatus[] = ['READY', 'DELETED'];
export const mayHaveContents = ({ status }: { readonly status: AssetStatus }) =>
  WITH_CONTENTS.includes(status);

const column = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
/** As if it were UTC, or the client library would read it in the time zone of this process. */
const ZONES: Readonly<Record<string, string>> = { takenAtLocal: " at time zone 'UTC'" };
const PROPERTIES = Object.keys(NO_PROPERTIES).map(
  (name) => `p.${column(name)}${ZONES[name] ?? ''} as "${name}"`,
);

interface ContentsRow extends Omit<AssetProperties, 'takenAtLocal'> {
  assetId: string;
  takenAtLocal: Date | null;
  /** Whether there is a row of properties. */
  isInspected: boolean;
  variants: readonly Variant[];
  variantsReason: string | null;
  scannedBy: string | null;
}

/** As the columns have them. */
export const propertyColumns = (properties: Partial<AssetProperties> | null) => ({
  ...properties,
  takenAtLocal: properties?.takenAtLocal ? asIfUtc(properties.takenAtLocal) : null,
});

/** The status is asked for again: what was READY when its asset was read may have been refused since. */
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
