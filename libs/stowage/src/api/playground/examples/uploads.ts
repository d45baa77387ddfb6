import { type ExampleGroup, HELLO, UNKNOWN_ID, WORLD } from './example.js';

export const UPLOADS: ExampleGroup = {
  title: 'Upload',
  examples: [
    {
      query: `# Requests a signed URL for an upload of
# six bytes. Then send the bytes with the
# URL and all headers of the answer:
#   printf 'hello\\n' |
#     curl -T - -H 'NAME: VALUE' 'URL'
# Each run requests another upload. Add an
# "idempotencyKey" to the input, and a
# repeat returns the asset of the first
# run.
mutation RequestUpload($input: RequestUploadInput!) {
  requestUpload(input: $input) {
    asset {
      id
      status
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
      variables: { input: HELLO },
    },
    {
      query: `# Requests up to 100 uploads. Each one is
# accepted or refused on its own, in the
# order of the inputs. A repeat requests
# other uploads, except for inputs with an
# "idempotencyKey".
mutation RequestUploads($inputs: [RequestUploadInput!]!) {
  requestUploads(inputs: $inputs) {
    ... on RequestUploadPayload {
      asset {
        id
        filename
        status
      }
      upload {
        httpMethod
        url
        headers {
          name
          value
        }
      }
    }
    ... on UploadRefusal {
      index
      code
      reason
      message
      path
    }
  }
}
`,
      variables: { inputs: [HELLO, WORLD] },
    },
    {
      query: `# Issues a new URL for an upload that
# still waits for its bytes. Set the id of
# a PENDING asset in Variables. May be
# repeated.
mutation RenewUpload($assetId: ID!) {
  renewUpload(assetId: $assetId) {
    protocol
    httpMethod
    url
    headers {
      name
      value
    }
    expiresAt
  }
}
`,
      variables: { assetId: UNKNOWN_ID },
    },
    {
      query: `# Checks storage for the bytes at once
# instead of waiting for its event.
# Optional. Set the id of the asset in
# Variables. A repeat returns the asset as
# it is.
mutation CompleteUpload($assetId: ID!) {
  completeUpload(assetId: $assetId) {
    id
    status
    updatedAt
  }
}
`,
      variables: { assetId: UNKNOWN_ID },
    },
    {
      query: `# Cancels an upload that still waits for
# its bytes, and releases its quota. Set
# the id of a PENDING asset in Variables.
# A repeat returns the cancelled asset.
mutation CancelUpload($assetId: ID!) {
  cancelUpload(assetId: $assetId) {
    id
    status
  }
}
`,
      variables: { assetId: UNKNOWN_ID },
    },
  ],
};
