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
  description: 'Status of an asset. New values may be added: treat unknown ones like PROCESSING.',
  valuesMap: values<keyof typeof AssetStatusEnum>({
    PENDING: 'Waiting for the bytes.',
    PROCESSING: 'The bytes were uploaded and are being checked.',
    READY: 'The bytes were checked and can be downloaded.',
    REJECTED: 'The bytes were rejected; see statusReason.',
    FAILED: 'Processing failed; an operator can retry it.',
    EXPIRED: 'The bytes were not uploaded in time.',
    CANCELLED: 'The upload was cancelled.',
    DELETED: 'Deleted; can be restored for a while.',
  }),
});
registerEnumType(AssetKindEnum, {
  name: 'AssetKind',
  description: 'Family of a media type.',
  valuesMap: values<keyof typeof AssetKindEnum>({
    IMAGE: 'image/*',
    AUDIO: 'audio/*',
    VIDEO: 'video/*',
    DOCUMENT: 'PDF, office documents, e-books and text.',
    OTHER: 'All other types.',
  }),
});
registerEnumType(PermissionEnum, {
  name: 'Permission',
  description: 'Permission on an asset.',
  valuesMap: values<keyof typeof PermissionEnum>({
    READ: 'See the asset and download its bytes.',
    WRITE: 'Change its name and metadata, complete or cancel its upload.',
    DELETE: 'Delete it.',
  }),
});
registerEnumType(StorageClassEnum, {
  name: 'StorageClass',
  description: 'Storage class of the bytes.',
  valuesMap: values<keyof typeof StorageClassEnum>({
    STANDARD: 'For frequent reading.',
    NEARLINE: 'For reading about once a month.',
    COLDLINE: 'For reading about once a quarter.',
    ARCHIVE: 'For reading about once a year.',
  }),
});
registerEnumType(DispositionEnum, {
  name: 'Disposition',
  description: 'How a browser handles a download.',
  valuesMap: values<keyof typeof DispositionEnum>({
    INLINE: 'Show the file in the browser, if its type is safe to show.',
    ATTACHMENT: 'Save the file.',
  }),
});
registerEnumType(AssetScopeEnum, {
  name: 'AssetScope',
  description:
    'Which assets to list. Assets of other owners are listed only when READY. Assets that are shared as part of something else, ' +
    'such as an album, are listed there.',
  valuesMap: values<keyof typeof AssetScopeEnum>({
    OWN: "The caller's own assets.",
    SHARED: "Assets granted to the caller or to a group of the caller, the caller's own included.",
    PUBLIC: "Assets granted to everyone, the caller's own included.",
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
    FILENAME_ASC: 'By file name in lower case, in the order of code points.',
    TAKEN_DESC: 'By takenAtLocal, latest first; only READY assets that have it.',
    TAKEN_ASC: 'By takenAtLocal, earliest first; only READY assets that have it.',
  }),
});
