import { registerEnumType } from '@nestjs/graphql';
import { ASSET_KINDS, ASSET_STATUSES, PERMISSIONS } from '#libs/domain';

const enumOf = <Name extends string>(names: readonly Name[]) =>
  Object.fromEntries(names.map((name) => [name, name])) as { [Key in Name]: Key };

export const AssetStatusEnum = enumOf(ASSET_STATUSES);
export const AssetKindEnum = enumOf(ASSET_KINDS);
export const PermissionEnum = enumOf(PERMISSIONS);
export const StorageClassEnum = enumOf(['STANDARD', 'NEARLINE', 'COLDLINE', 'ARCHIVE']);
export const DispositionEnum = enumOf(['INLINE', 'ATTACHMENT']);
export const AssetScopeEnum = enumOf(['OWN', 'SHARED', 'PUBLIC']);
export const AssetOrderEnum = enumOf([
  'CREATED_DESC',
  'CREATED_ASC',
  'SIZE_DESC',
  'SIZE_ASC',
  'FILENAME_ASC',
  'TAKEN_DESC',
  'TAKEN_ASC',
]);

const values = <Name extends string>(descriptions: Record<Name, string>) =>
  Object.fromEntries(
    Object.entries<string>(descriptions).map(([name, description]) => [name, { description }]),
  ) as Record<Name, { description: string }>;

registerEnumType(AssetStatusEnum, {
  name: 'AssetStatus',
  description:
    'Where an asset is in its life. New values may be added: treat an unknown one like PROCESSING.',
  valuesMap: values<keyof typeof AssetStatusEnum>({
    PENDING: 'Waiting for the bytes.',
    PROCESSING: 'The bytes are here and are being checked.',
    READY: 'Checked and served.',
    REJECTED: 'The bytes were refused; see statusReason.',
    FAILED: 'Processing gave up; an operator can try again.',
    EXPIRED: 'The bytes did not come in time.',
    CANCELLED: 'The upload was called off.',
    DELETED: 'Deleted by its owner; recoverable for a while.',
  }),
});
registerEnumType(AssetKindEnum, {
  name: 'AssetKind',
  description: 'The family that a media type belongs to.',
  valuesMap: values<keyof typeof AssetKindEnum>({
    IMAGE: 'image/*',
    AUDIO: 'audio/*',
    VIDEO: 'video/*',
    DOCUMENT: 'PDF, office documents, e-books and text.',
    OTHER: 'Everything else.',
  }),
});
registerEnumType(PermissionEnum, {
  name: 'Permission',
  description: 'What a principal may do with an asset.',
  valuesMap: values<keyof typeof PermissionEnum>({
    READ: 'See the asset and download its bytes.',
    WRITE: 'Change its name and metadata, complete or cancel its upload.',
    DELETE: 'Delete it.',
  }),
});
registerEnumType(StorageClassEnum, {
  name: 'StorageClass',
  description: 'How warm the bytes are kept.',
  valuesMap: values<keyof typeof StorageClassEnum>({
    STANDARD: 'For frequent reading.',
    NEARLINE: 'For reading about once a month.',
    COLDLINE: 'For reading about once a quarter.',
    ARCHIVE: 'For reading about once a year.',
  }),
});
registerEnumType(DispositionEnum, {
  name: 'Disposition',
  description: 'What a browser does with a download.',
  valuesMap: values<keyof typeof DispositionEnum>({
    INLINE: 'Show it in place, where the type is safe to show.',
    ATTACHMENT: 'Save it as a file.',
  }),
});
registerEnumType(AssetScopeEnum, {
  name: 'AssetScope',
  description: "Whose assets to list. Others' assets show only when READY.",
  valuesMap: values<keyof typeof AssetScopeEnum>({
    OWN: "The caller's own.",
    SHARED: 'Granted to the caller or to a group of theirs.',
    PUBLIC: 'Granted to everyone.',
  }),
});
registerEnumType(AssetOrderEnum, {
  name: 'AssetOrder',
  description: 'The order of a list of assets.',
  valuesMap: values<keyof typeof AssetOrderEnum>({
    CREATED_DESC: 'Newest first.',
    CREATED_ASC: 'Oldest first.',
    SIZE_DESC: 'Largest first.',
    SIZE_ASC: 'Smallest first.',
    FILENAME_ASC: 'By file name.',
    TAKEN_DESC: 'By takenAtLocal, the latest first; only READY assets of which it is known.',
    TAKEN_ASC: 'By takenAtLocal, the earliest first; only READY assets of which it is known.',
  }),
});
