import { ApiError, callApi } from './graphql.js';
import { Subscriptions } from './subscriptions.js';

const ASSET = `
  id
  status
  statusReason { code message }
  kind
  mimeType
  sizeBytes
  checksumSha256
  download: downloadUrl { url expiresAt }
  variants { width downloadUrl { url } }
  variantsReason
`;
const TICKET = `method protocol httpMethod url headers { name value } expiresAt`;

const REQUEST_UPLOAD = `mutation ($input: RequestUploadInput!) {
  requestUpload(input: $input) { asset { ${ASSET} } upload { ${TICKET} } }
}`;
const RENEW_UPLOAD = `mutation ($id: ID!) { renewUpload(assetId: $id) { ${TICKET} } }`;
const COMPLETE_UPLOAD = `mutation ($id: ID!) { completeUpload(assetId: $id) { ${ASSET} } }`;
const CANCEL_UPLOAD = `mutation ($id: ID!) { cancelUpload(assetId: $id) { ${ASSET} } }`;
const ASSET_BY_ID = `query ($id: ID!) { asset(id: $id) { ${ASSET} } }`;
const ASSET_CHANGED = `subscription ($id: ID!) { assetChanged(id: $id) { ${ASSET} } }`;

/**
 * The API calls of an uploading page. Every call can be repeated if its answer was lost. Calls throw TryAgain if a repeat
 * may succeed, otherwise ApiError.
 * @param server `{ url, token }`; `token({ fresh })` returns the user's token, with `fresh` a new one
 */
export function apiOf(server) {
  const call = (query, variables, signal) => callApi(server, query, variables, signal);
  const subscriptions = new Subscriptions(server);
  return {
    /** Returns an asset and the ticket to send its bytes with. The ticket is null if no bytes need to be sent. */
    request: async (input, signal) => (await call(REQUEST_UPLOAD, { input }, signal)).requestUpload,
    renew: async (id, signal) => (await call(RENEW_UPLOAD, { id }, signal)).renewUpload,
    complete: async (id, signal) => (await call(COMPLETE_UPLOAD, { id }, signal)).completeUpload,
    cancel: async (id, signal) => (await call(CANCEL_UPLOAD, { id }, signal)).cancelUpload,
    asset: async (id, signal) => {
      const { asset } = await call(ASSET_BY_ID, { id }, signal);
      if (asset === null) throw new ApiError('The asset does not exist any more', { code: 'NOT_FOUND' });
      return asset;
    },
    /** Calls `onAsset` with the asset now and after each change, until the subscription ends. */
    watch: (id, onAsset, signal) =>
      subscriptions.subscribe(ASSET_CHANGED, { id }, ({ assetChanged }) => onAsset(assetChanged), signal),
  };
}
