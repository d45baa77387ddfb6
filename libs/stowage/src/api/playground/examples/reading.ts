import { type ExampleGroup, UNKNOWN_ID } from './example.js';

export const CALLER: ExampleGroup = {
  title: 'Caller',
  examples: [
    {
      query: `# The caller of the token in Headers:
# { "Authorization": "Bearer TOKEN" }
# Others share assets with you by one of
# your principals.
query Viewer {
  viewer {
    id
    isAdmin
    principals
    quota {
      usedBytes
      reservedBytes
      limitBytes
      usedAssets
      limitAssets
    }
  }
}
`,
    },
  ],
};

export const READING: ExampleGroup = {
  title: 'Read',
  examples: [
    {
      query: `# Your newest assets, by page. For the
# next page, pass the endCursor of this
# page as "after".
query Assets(
  $first: Int
  $after: String
) {
  assets(first: $first, after: $after) {
    nodes {
      id
      filename
      status
      mimeType
      sizeBytes
      createdAt
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
      query: `# Assets for which all conditions of the
# filter hold. Others are status, mimeType
# ("image/*"), metadata, properties,
# checksumSha256, ownerId and
# createdBefore. Scopes are OWN, SHARED
# and PUBLIC. A page may be short or empty
# although the list continues: see
# hasNextPage.
query SearchAssets(
  $filter: AssetFilter
  $scope: AssetScope
  $orderBy: AssetOrder
  $first: Int
  $after: String
) {
  assets(
    filter: $filter
    scope: $scope
    orderBy: $orderBy
    first: $first
    after: $after
  ) {
    nodes {
      id
      filename
      status
      kind
      sizeBytes
      metadata {
        key
        value
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
      variables: {
        filter: { filenameContains: 'hello', kind: ['DOCUMENT'], createdAfter: '2020-01-01T00:00:00Z' },
        scope: 'OWN',
        orderBy: 'FILENAME_ASC',
        first: 10,
      },
    },
    {
      query: `# Your images by capture time, newest
# first, each with its thumbnail and a
# placeholder (thumbhash) to show while
# the thumbnail loads.
query Gallery(
  $first: Int
  $after: String
  $filter: PropertiesFilter
) {
  assets(
    orderBy: TAKEN_DESC
    first: $first
    after: $after
    filter: { properties: $filter }
  ) {
    nodes {
      id
      filename
      properties {
        takenAtLocal
        width
        height
        thumbhash
      }
      variants {
        name
        width
        height
        downloadUrl {
          url
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
      variables: { first: 10, filter: { takenAfter: '2020-01-01T00:00:00' } },
    },
    {
      query: `# One asset, with a download URL when it
# is READY. Set the id of an asset in
# Variables. The answer is null for an
# asset that does not exist or that you
# may not read.
query Asset($id: ID!) {
  asset(id: $id) {
    id
    filename
    status
    statusReason {
      code
      message
    }
    mimeType
    sizeBytes
    checksumSha256
    properties {
      width
      height
      durationSeconds
      pageCount
      takenAtLocal
      thumbhash
    }
    variants {
      name
      width
      height
      downloadUrl {
        url
      }
    }
    viewerPermissions
    downloadUrl {
      url
      expiresAt
    }
  }
}
`,
      variables: { id: UNKNOWN_ID },
    },
    {
      query: `# The current state of an asset, then each
# change, until you stop it. Set the id of
# an asset in Variables; NOT_FOUND for an
# asset that does not exist or that you
# may not read.
subscription AssetChanged($id: ID!) {
  assetChanged(id: $id) {
    id
    status
    statusReason {
      code
      message
    }
    updatedAt
  }
}
`,
      variables: { id: UNKNOWN_ID },
    },
    {
      query: `# The states of up to 100 assets, then
# each change. Skips ids of assets that do
# not exist or that you may not read;
# NOT_FOUND if none is left at the start.
subscription AssetsChanged($ids: [ID!]!) {
  assetsChanged(ids: $ids) {
    id
    filename
    status
    updatedAt
  }
}
`,
      variables: { ids: [UNKNOWN_ID] },
    },
  ],
};
