/** Rules of the access matrix: which callers may use each operation, and see each field. */

/** A kind of caller, by the grant that the asset carries for it. */
export type Caller =
  | 'owner'
  | 'READ'
  | 'WRITE'
  | 'DELETE'
  | 'expired'
  | 'group'
  | 'everyone'
  | 'feature'
  | 'stranger'
  | 'operator'
  | 'anonymous';

export const CALLERS: readonly Caller[] = [
  'owner',
  'READ',
  'WRITE',
  'DELETE',
  'expired',
  'group',
  'everyone',
  'feature',
  'stranger',
  'operator',
  'anonymous',
];

/** Callers who see a READY asset. */
export const READERS: readonly Caller[] = CALLERS.filter(
  (caller) => !['expired', 'stranger', 'anonymous'].includes(caller),
);

/** Needs of operations. `nothing`: a valid token. */
export type Need = 'nothing' | 'READ' | 'WRITE' | 'DELETE' | 'ownership' | 'operator';

export type Outcome = 'allowed' | 'UNAUTHENTICATED' | 'FORBIDDEN' | 'NOT_FOUND';

const HOLDERS: Readonly<Record<Need, readonly Caller[]>> = {
  nothing: CALLERS.filter((caller) => caller !== 'anonymous'),
  READ: READERS,
  WRITE: ['owner', 'operator', 'WRITE'],
  DELETE: ['owner', 'operator', 'DELETE'],
  ownership: ['owner', 'operator'],
  operator: ['operator'],
};

/** The answer to a caller: a caller who may not read the asset cannot tell it from one that does not exist. */
export function outcomeOf(need: Need, caller: Caller): Outcome {
  if (caller === 'anonymous') return 'UNAUTHENTICATED';
  if (HOLDERS[need].includes(caller)) return 'allowed';
  return need === 'operator' || READERS.includes(caller) ? 'FORBIDDEN' : 'NOT_FOUND';
}

interface OperationRule {
  readonly need: Need;
  /** The operation on the asset $id; $other is another user's id. */
  readonly text: string;
  /** For a batch: the name of the field whose items carry a code instead of an error. */
  readonly isBatch?: boolean;
}

const UPLOAD = `filename: "a.txt", mimeType: "text/plain", sizeBytes: 6, checksumSha256: "${'ab'.repeat(32)}"`;

export const OPERATIONS: Readonly<Record<string, OperationRule>> = {
  'Query.viewer': { need: 'nothing', text: '{ viewer { id } }' },
  'Query.asset': { need: 'READ', text: 'query ($id: ID!) { asset(id: $id) { id } }' },
  // The lists have a test of their own, which compares their contents.
  'Query.assets': { need: 'nothing', text: '{ assets { nodes { id } } }' },
  'Query.admin': { need: 'operator', text: '{ admin { __typename } }' },
  'Mutation.requestUpload': {
    need: 'nothing',
    text: `mutation { requestUpload(input: { ${UPLOAD} }) { asset { id } } }`,
  },
  'Mutation.requestUploads': {
    need: 'nothing',
    text: `mutation { requestUploads(inputs: [{ ${UPLOAD} }]) { __typename } }`,
  },
  'Mutation.replaceUpload': {
    need: 'ownership',
    text: `mutation ($id: ID!) { replaceUpload(id: $id, input: { ${UPLOAD} }) { asset { id } } }`,
  },
  'Mutation.renewUpload': {
    need: 'WRITE',
    text: 'mutation ($id: ID!) { renewUpload(assetId: $id) { method } }',
  },
  'Mutation.completeUpload': {
    need: 'WRITE',
    text: 'mutation ($id: ID!) { completeUpload(assetId: $id) { id } }',
  },
  'Mutation.cancelUpload': {
    need: 'WRITE',
    text: 'mutation ($id: ID!) { cancelUpload(assetId: $id) { id } }',
  },
  'Mutation.updateAsset': {
    need: 'WRITE',
    text: 'mutation ($id: ID!) { updateAsset(input: { id: $id, filename: "b.jpg" }) { id } }',
  },
  'Mutation.updateAssets': {
    need: 'WRITE',
    text: 'mutation ($id: ID!) { updateAssets(inputs: [{ id: $id, filename: "b.jpg" }]) { code asset { id } } }',
    isBatch: true,
  },
  'Mutation.deleteAsset': { need: 'DELETE', text: 'mutation ($id: ID!) { deleteAsset(id: $id) { id } }' },
  'Mutation.deleteAssets': {
    need: 'DELETE',
    text: 'mutation ($id: ID!) { deleteAssets(ids: [$id]) { code asset { id } } }',
    isBatch: true,
  },
  'Mutation.restoreAsset': { need: 'DELETE', text: 'mutation ($id: ID!) { restoreAsset(id: $id) { id } }' },
  'Mutation.purgeAsset': { need: 'DELETE', text: 'mutation ($id: ID!) { purgeAsset(id: $id) }' },
  'Mutation.grantAccess': {
    need: 'ownership',
    text: `mutation ($id: ID!) { grantAccess(input: { assetId: $id, principal: "user:99", permissions: [READ] }) { id } }`,
  },
  'Mutation.revokeAccess': {
    need: 'ownership',
    text: `mutation ($id: ID!) { revokeAccess(input: { assetId: $id, principal: "user:99" }) { id } }`,
  },
  'Mutation.transferAsset': {
    need: 'operator',
    text: 'mutation ($id: ID!) { transferAsset(id: $id, ownerId: "98") { id } }',
  },
  'Mutation.setQuota': {
    need: 'operator',
    text: 'mutation { setQuota(ownerId: "97", limitBytes: 5, limitAssets: 5) { limitBytes } }',
  },
  'Mutation.revokeTokens': {
    need: 'operator',
    text: 'mutation { revokeTokens(ownerId: "96", before: "2026-01-01T00:00:00Z") }',
  },
  'Mutation.retryDeadLetter': {
    need: 'operator',
    text: 'mutation { retryDeadLetter(id: "DEAD_LETTER") { id } }',
  },
  'Mutation.discardDeadLetter': {
    need: 'operator',
    text: 'mutation { discardDeadLetter(id: "DEAD_LETTER") { id } }',
  },
  'Mutation.runTask': {
    need: 'operator',
    text: 'mutation { runTask(task: "expire-uploads", dryRun: true) { id } }',
  },
  'Mutation.confirmTaskRun': { need: 'operator', text: 'mutation { confirmTaskRun(id: "TASK_RUN") { id } }' },
  'Subscription.assetChanged': {
    need: 'READ',
    text: 'subscription ($id: ID!) { assetChanged(id: $id) { id } }',
  },
  'Subscription.assetsChanged': {
    need: 'READ',
    text: 'subscription ($id: ID!) { assetsChanged(ids: [$id]) { id } }',
  },
};

/** Fields of an asset that not every reader sees: who sees them, and what the others get. */
export const RESTRICTED: Readonly<
  Record<string, { readonly seenBy: readonly Caller[]; readonly others: unknown }>
> = {
  'Asset.acl': { seenBy: ['owner', 'operator'], others: [] },
  'Asset.scannedBy': { seenBy: ['operator'], others: null },
  'Asset.storageClass': { seenBy: ['operator'], others: null },
  'AssetProperties.takenAt': { seenBy: ['owner', 'operator'], others: null },
  'AssetProperties.location': { seenBy: ['owner'], others: null },
};

/** The only field that differs between readers without hiding anything: a caller's own permissions. */
export const PERMISSIONS_OF: Partial<Record<Caller, readonly string[]>> = {
  owner: ['READ', 'WRITE', 'DELETE'],
  operator: ['READ', 'WRITE', 'DELETE'],
  READ: ['READ'],
  WRITE: ['READ', 'WRITE'],
  DELETE: ['READ', 'DELETE'],
  group: ['READ'],
  everyone: ['READ'],
  feature: ['READ'],
};

/** Fields of an asset and of the types below it that every reader sees. */
export const VISIBLE: Readonly<Record<string, string>> = {
  Asset:
    'checksumSha256 createdAt deletedAt downloadUrl filename id kind lastAccessedAt metadata mimeType ownerId properties readyAt replaces ' +
    'sizeBytes status statusReason updatedAt variants variantsReason viewerPermissions',
  AssetProperties:
    'album artist cameraMake cameraModel durationSeconds hasLocation height pageCount takenAtLocal thumbhash title width',
  Variant: 'downloadUrl height mimeType name sizeBytes width',
};

/** Types whose values a caller gets only from a field with a rule of its own, with all their fields. */
export const VALUES: Readonly<Record<string, string>> = {
  AclEntry: 'expiresAt permission principal',
  AssetConnection: 'edges nodes pageInfo',
  AssetEdge: 'cursor node',
  AssetOutcome: 'asset code index message path reason',
  GeoPoint: 'latitude longitude',
  HttpHeader: 'name value',
  MetadataEntry: 'key value',
  PageInfo: 'endCursor hasNextPage hasPreviousPage startCursor',
  Quota: 'limitAssets limitBytes reservedAssets reservedBytes usedAssets usedBytes',
  RequestUploadPayload: 'asset upload',
  SignedUrl: 'expiresAt url',
  StatusReason: 'code message',
  UploadRefusal: 'code index message path reason',
  UploadTicket: 'expiresAt headers httpMethod method partSizeBytes protocol url',
  // The caller's own.
  Viewer: 'id isAdmin principals quota',
  // Below Query.admin, which refuses everyone but operators.
  Admin: 'assets deadLetters explainAccess integrityFindings quota taskRun taskRuns',
  AccessExplanation: 'allowed because',
  DeadLetter: 'assetId attempts createdAt error id payload source state',
  DeadLetterConnection: 'edges nodes pageInfo',
  DeadLetterEdge: 'cursor node',
  IntegrityFinding: 'assetId bucket detail foundAt id objectKey problem repaired repairedAt subject',
  IntegrityFindingConnection: 'edges nodes pageInfo',
  IntegrityFindingEdge: 'cursor node',
  TaskAction: 'action detail subject',
  TaskRun: 'actions changed dryRun error examined failed finishedAt id startedAt status task',
};
