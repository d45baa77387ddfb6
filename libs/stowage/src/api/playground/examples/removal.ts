import { type ExampleGroup, UNKNOWN_ID } from './example.js';

export const REMOVAL: ExampleGroup = {
  title: 'Delete',
  examples: [
    {
      query: `# Deletes an asset, which can be restored
# for a while. Needs DELETE. Set its id in
# Variables. A repeat returns the deleted
# asset.
mutation DeleteAsset($id: ID!) {
  deleteAsset(id: $id) {
    id
    status
    deletedAt
  }
}
`,
      variables: { id: UNKNOWN_ID },
    },
    {
      query: `# Your deleted assets. Other lists leave
# them out unless the filter asks for this
# status.
query DeletedAssets(
  $first: Int
  $after: String
) {
  assets(filter: { status: [DELETED] }, first: $first, after: $after) {
    nodes {
      id
      filename
      deletedAt
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
      variables: { first: 10 },
    },
    {
      query: `# Restores a deleted asset that was READY;
# CONFLICT for any other. Set its id in
# Variables. A repeat returns the asset.
mutation RestoreAsset($id: ID!) {
  restoreAsset(id: $id) {
    id
    status
  }
}
`,
      variables: { id: UNKNOWN_ID },
    },
    {
      query: `# Deletes up to 100 assets, each on its
# own. Outcomes are in the order of the
# ids. A repeat returns the deleted
# assets.
mutation DeleteAssets($ids: [ID!]!) {
  deleteAssets(ids: $ids) {
    index
    asset {
      id
      status
    }
    code
    reason
    message
  }
}
`,
      variables: { ids: [UNKNOWN_ID] },
    },
    {
      query: `# Removes an asset and its bytes at once.
# This cannot be undone. Set its id in
# Variables. NOT_FOUND for a repeat.
mutation PurgeAsset($id: ID!) {
  purgeAsset(id: $id)
}
`,
      variables: { id: UNKNOWN_ID },
    },
  ],
};
