import { type ExampleGroup, UNKNOWN_ID, WORLD } from './example.js';

export const CHANGES: ExampleGroup = {
  title: 'Change',
  examples: [
    {
      query: `# Renames an asset, and sets and removes
# metadata. Needs WRITE. Set the id of an
# asset in Variables; omitted fields stay
# as they are. A repeat changes nothing
# and returns the asset.
mutation UpdateAsset($input: UpdateAssetInput!) {
  updateAsset(input: $input) {
    id
    filename
    metadata {
      key
      value
    }
    updatedAt
  }
}
`,
      variables: {
        input: {
          id: UNKNOWN_ID,
          filename: 'renamed.txt',
          setMetadata: [{ key: 'project', value: 'apollo' }],
          removeMetadata: ['draft'],
        },
      },
    },
    {
      query: `# Changes up to 100 assets, each accepted
# or refused on its own. Outcomes are in
# the order of the inputs. A repeat
# returns the same outcomes.
mutation UpdateAssets($inputs: [UpdateAssetInput!]!) {
  updateAssets(inputs: $inputs) {
    index
    asset {
      id
      filename
    }
    code
    reason
    message
    path
  }
}
`,
      variables: { inputs: [{ id: UNKNOWN_ID, filename: 'renamed.txt' }] },
    },
    {
      query: `# Requests an upload whose bytes replace
# those of a READY asset. Its id, name,
# metadata and access stay, and its old
# bytes are served until the new ones are
# checked. Set the id of one of your
# assets, and send the bytes as in
# RequestUpload. A repeat with an
# "idempotencyKey" returns the upload;
# later, "upload" is null.
mutation ReplaceUpload(
  $id: ID!
  $input: RequestUploadInput!
) {
  replaceUpload(id: $id, input: $input) {
    asset {
      id
      status
      replaces
    }
    upload {
      httpMethod
      url
      headers {
        name
        value
      }
      expiresAt
    }
  }
}
`,
      variables: { id: UNKNOWN_ID, input: WORLD },
    },
  ],
};
