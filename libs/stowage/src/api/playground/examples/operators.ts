import { type ExampleGroup, UNKNOWN_ID, UNKNOWN_OWNER } from './example.js';

/** Mutations name an owner who does not exist: an operator who runs one unchanged affects no caller. */
export const OPERATORS: ExampleGroup = {
  title: 'Operators',
  forOperators: true,
  examples: [
    {
      query: `# Assets of all owners, newest first, in
# every status. Add "ownerId" for one
# owner. A page may be short or empty
# although the list continues: see
# hasNextPage.
query OwnersAssets(
  $ownerId: ID
  $status: [AssetStatus!]
  $first: Int
  $after: String
) {
  admin {
    assets(
      ownerId: $ownerId
      status: $status
      first: $first
      after: $after
    ) {
      nodes {
        id
        ownerId
        filename
        status
        sizeBytes
        storageClass
        scannedBy
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
`,
      variables: { first: 10, status: ['READY', 'REJECTED', 'FAILED'] },
    },
    {
      query: `# Limits and usage of an owner. An owner
# without uploads has the default limits.
query OwnerQuota($ownerId: ID!) {
  admin {
    quota(ownerId: $ownerId) {
      usedBytes
      reservedBytes
      limitBytes
      usedAssets
      reservedAssets
      limitAssets
    }
  }
}
`,
      variables: { ownerId: '1' },
    },
    {
      query: `# Sets both limits of an owner. Limits
# below the usage keep the stored files
# and refuse new uploads. Set the owner's
# id in Variables. A repeat returns the
# same limits.
mutation SetQuota(
  $ownerId: ID!
  $limitBytes: ByteSize!
  $limitAssets: Int!
) {
  setQuota(
    ownerId: $ownerId
    limitBytes: $limitBytes
    limitAssets: $limitAssets
  ) {
    usedBytes
    limitBytes
    usedAssets
    limitAssets
  }
}
`,
      variables: { ownerId: UNKNOWN_OWNER, limitBytes: 10 * 2 ** 30, limitAssets: 100_000 },
    },
    {
      query: `# Whether a caller with these principals
# has a permission on an asset now, and
# which grants say so. Copy the principals
# from viewer.principals.
query ExplainAccess(
  $assetId: ID!
  $principals: [String!]!
  $permission: Permission!
) {
  admin {
    explainAccess(
      assetId: $assetId
      principals: $principals
      permission: $permission
    ) {
      allowed
      because
    }
  }
}
`,
      variables: { assetId: UNKNOWN_ID, principals: ['user:1', '*'], permission: 'READ' },
    },
    {
      query: `# Gives an asset to another owner, with
# its share of the quota. The access list
# stays, so the former owner keeps access
# only by a grant. Set the asset and the
# new owner in Variables. A repeat returns
# the asset.
mutation TransferAsset(
  $id: ID!
  $ownerId: ID!
) {
  transferAsset(id: $id, ownerId: $ownerId) {
    id
    ownerId
    acl {
      principal
      permission
    }
  }
}
`,
      variables: { id: UNKNOWN_ID, ownerId: UNKNOWN_OWNER },
    },
    {
      query: `# Ends the tokens of an owner that were
# issued before an instant, open sockets
# included. Set the owner's id and the
# instant in Variables. Returns true, also
# for a repeat.
mutation RevokeTokens(
  $ownerId: ID!
  $before: DateTime!
) {
  revokeTokens(ownerId: $ownerId, before: $before)
}
`,
      variables: { ownerId: UNKNOWN_OWNER, before: '2020-01-01T00:00:00Z' },
    },
    {
      query: `# Work that failed permanently and waits
# for you, newest first.
query DeadLetters(
  $state: DeadLetterState
  $first: Int
  $after: String
) {
  admin {
    deadLetters(state: $state, first: $first, after: $after) {
      nodes {
        id
        source
        assetId
        attempts
        error
        payload
        state
        createdAt
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
`,
      variables: { state: 'OPEN', first: 10 },
    },
    {
      query: `# Retries the work of a dead letter. Set
# its id from DeadLetters in Variables. A
# repeat returns the dead letter as it is.
mutation RetryDeadLetter($id: ID!) {
  retryDeadLetter(id: $id) {
    id
    state
    assetId
  }
}
`,
      variables: { id: '0' },
    },
    {
      query: `# Discards a dead letter whose work is not
# needed any more. Set its id from
# DeadLetters in Variables. A repeat
# returns the dead letter as it is.
mutation DiscardDeadLetter($id: ID!) {
  discardDeadLetter(id: $id) {
    id
    state
  }
}
`,
      variables: { id: '0' },
    },
    {
      query: `# Runs a task now. With "dryRun" it only
# lists its actions. Follow the run with
# FollowTaskRun. A repeat while the run is
# QUEUED or RUNNING returns this run. A
# wrong name lists the tasks.
mutation RunTask(
  $task: String!
  $dryRun: Boolean
) {
  runTask(task: $task, dryRun: $dryRun) {
    id
    status
  }
}
`,
      variables: { task: 'expire-uploads', dryRun: true },
    },
    {
      query: `# Progress of a run, and its first 100
# actions. Set its id from RunTask or
# TaskRuns in Variables. Null for an
# unknown id.
query FollowTaskRun($id: ID!) {
  admin {
    taskRun(id: $id) {
      task
      dryRun
      status
      examined
      changed
      failed
      error
      actions {
        action
        subject
        detail
      }
    }
  }
}
`,
      variables: { id: '0' },
    },
    {
      query: `# Continues a run that is WAITING because
# it would change more than
# TASK_CONFIRM_ACTIONS or
# TASK_CONFIRM_PERCENT. Look at "changed"
# and "actions" first. Set its id from
# TaskRuns in Variables. A repeat returns
# the run.
mutation ConfirmTaskRun($id: ID!) {
  confirmTaskRun(id: $id) {
    id
    status
  }
}
`,
      variables: { id: '0' },
    },
    {
      query: `# The latest runs of tasks, newest first.
# Add "task" for one task.
query TaskRuns(
  $task: String
  $first: Int
) {
  admin {
    taskRuns(task: $task, first: $first) {
      id
      task
      dryRun
      status
      startedAt
      finishedAt
      examined
      changed
      failed
      error
    }
  }
}
`,
      variables: { first: 10 },
    },
    {
      query: `# Differences between the database, its
# counts and the buckets, newest first.
# Those with "repaired": false wait for
# you, as docs/operating.md describes.
query IntegrityFindings(
  $first: Int
  $after: String
) {
  admin {
    integrityFindings(
      first: $first
      after: $after
    ) {
      nodes {
        id
        problem
        subject
        bucket
        objectKey
        assetId
        detail
        repaired
        foundAt
        repairedAt
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
`,
      variables: { first: 10 },
    },
  ],
};
