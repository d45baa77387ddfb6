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

/** Has the form of an id, and is none. */
const NOBODY = '00000000-0000-7000-8000-000000000000';

/** Operations that run as they stand. */
export const EXAMPLES: readonly Example[] = [
  {
    query: `# Who the token in Headers says you are,
# and what you may still store.
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
    query: `# How to send six bytes to storage. Then send them:
#   printf 'hello\\n' | curl -T - -H 'NAME: VALUE' URL
# with every header, and the URL, of the answer.
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
    query: `# Your newest assets, a page at a time: the next one
# comes after this one's endCursor.
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
    query: `# One asset, with a download URL once it is READY.
# Put an id of yours into Variables.
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
    variables: { id: NOBODY },
  },
  {
    query: `# What happens to an asset, as it happens: first as it
# is now, then each change. Put an id of yours into
# Variables; NOT_FOUND until you do.
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
    variables: { id: NOBODY },
  },
  {
    query: `# Your pictures, the one taken last first, each with
# its small rendition and what to show until that is
# loaded.
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
