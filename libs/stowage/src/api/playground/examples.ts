/** One tab of the playground. */
export interface Example {
  readonly query: string;
  readonly variables?: object;
}

const HELLO = {
  filename: 'hello.txt',
  mimeType: 'text/plain',
  sizeBytes: 6,
  checksumSha256: '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e746f6be03',
};

/** A well-formed id that no asset has. */
const UNKNOWN_ID = '00000000-0000-7000-8000-000000000000';

/** Operations that run without changes. */
export const EXAMPLES: readonly Example[] = [
  {
    query: `# The caller of the token in Headers, and the
# caller's quota.
query Viewer {
  viewer {
    id
    isAdmin
    principals
    quota {
      usedBytes
      reservedBytes
      limitBytes
    }
  }
}
`,
  },
  {
    query: `# Requests a signed URL for an upload of six bytes. Then
# send the bytes with the URL and all headers of the answer:
#   printf 'hello\\n' | curl -T - -H 'NAME: VALUE' URL
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
    query: `# Your newest assets, by page. For the next page, pass
# the endCursor of this page as "after".
query Assets($first: Int, $after: String) {
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
    query: `# One asset, with a download URL when it is READY.
# Set the id of one of your assets in Variables.
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
    query: `# The current state of an asset, then each change. Set
# the id of one of your assets in Variables; other ids
# fail with NOT_FOUND.
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
    query: `# Your images by capture time, newest first, each with
# its thumbnail and a placeholder (thumbhash) to show
# while the thumbnail loads.
query Gallery($first: Int, $after: String, $filter: PropertiesFilter) {
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
];
