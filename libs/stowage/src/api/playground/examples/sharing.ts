import { type ExampleGroup, UNKNOWN_ID } from './example.js';

export const SHARING: ExampleGroup = {
  title: 'Share',
  examples: [
    {
      query: `# Gives a principal permissions on one of
# your assets: READ, WRITE (change) or
# DELETE. A principal is user:ID,
# group:NAME or * (everyone, READ only).
# Add "expiresAt" for access that ends. A
# repeat returns the same access list.
mutation GrantAccess($input: GrantAccessInput!) {
  grantAccess(input: $input) {
    id
    acl {
      principal
      permission
      expiresAt
    }
  }
}
`,
      variables: { input: { assetId: UNKNOWN_ID, principal: 'user:2', permissions: ['READ'] } },
    },
    {
      query: `# Assets that others shared with you or
# with one of your groups, your own
# included. The scope PUBLIC lists assets
# that are shared with everyone.
query SharedAssets(
  $scope: AssetScope
  $first: Int
  $after: String
) {
  assets(scope: $scope, first: $first, after: $after) {
    nodes {
      id
      ownerId
      filename
      viewerPermissions
      downloadUrl {
        url
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
      variables: { scope: 'SHARED', first: 10 },
    },
    {
      query: `# Takes permissions from a principal; all
# of them without "permissions".
# Subscriptions end within a second;
# download URLs work until they expire. A
# repeat changes nothing and returns the
# asset.
mutation RevokeAccess($input: RevokeAccessInput!) {
  revokeAccess(input: $input) {
    id
    acl {
      principal
      permission
      expiresAt
    }
  }
}
`,
      variables: { input: { assetId: UNKNOWN_ID, principal: 'user:2', permissions: ['READ'] } },
    },
  ],
};
