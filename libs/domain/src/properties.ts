/** What was found in the bytes. Null where it does not apply or could not be read. */
export interface AssetProperties {
  /** Pixels across and down, as shown: orientation applied. */
  readonly width: number | null;
  readonly height: number | null;
  readonly durationSeconds: number | null;
  readonly pageCount: number | null;
  /** The instant; where no time zone is known, local time read as if it were UTC. */
  readonly takenAt: Date | null;
  /** Of the place where it was taken, minutes east of UTC; null when it is not known. */
  readonly takenAtOffsetMinutes: number | null;
  readonly cameraMake: string | null;
  readonly cameraModel: string | null;
  /** Whether the bytes say where they were made. */
  readonly hasLocation: boolean | null;
  /** WGS 84 degrees, north and east positive. */
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly title: string | null;
  readonly artist: string | null;
  readonly album: string | null;
  /** Base64 of a ThumbHash: https://evanw.github.io/thumbhash/ */
  readonly thumbhash: string | null;
}

export const NO_PROPERTIES: AssetProperties = {
  width: null,
  height: null,
  durationSeconds: null,
  pageCount: null,
  takenAt: null,
  takenAtOffsetMinutes: null,
  cameraMake: null,
  cameraModel: null,
  hasLocation: null,
  latitude: null,
  longitude: null,
  title: null,
  artist: null,
  album: null,
  thumbhash: null,
};
