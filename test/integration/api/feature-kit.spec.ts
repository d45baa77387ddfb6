import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Module } from '@nestjs/common';
import { Field, ObjectType, Query, Resolver } from '@nestjs/graphql';
import { Database } from '#libs/database';
import { defineFeature } from '#libs/stowage';
import { createApi, readApiConfig } from '#libs/stowage/api';
import { appEnvironment } from '../../../libs/testing/src/environment.js';
import { schemaOf } from '../../../libs/testing/src/schema.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { notes, NotesService } from '../../support/notes-feature.js';

const NOTES = `query ($first: Int, $after: String) { notesOfViewer(first: $first, after: $after) {
  nodes { id text asset { id notes { text } } } edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }`;

interface NotesPage {
  readonly nodes: {
    readonly id: string;
    readonly asset: { readonly id: string; readonly notes: string[] } | null;
  }[];
  readonly edges: { readonly cursor: string; readonly node: { readonly id: string } }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

describe('a feature in the API (real: PostgreSQL, HTTP)', () => {
  let api: TestApi;
  let database: Database;
  let service: NotesService;
  const ids: string[] = [];
  let foreign: string;
  let shared: string;

  beforeAll(async () => {
    api = await TestApi.start({}, [notes]);
    database = api.app.get(Database);
    service = api.app.get(NotesService, { strict: false });
    for (let index = 0; index < 5; index++) ids.push(await storeAsset(database));
    foreign = await storeAsset(database, { ownerId: 43n });
    shared = await storeAsset(database, { ownerId: 43n, readers: ['user:42'] });
    for (const [index, assetId] of [...ids, foreign, shared, randomUUID(), ids[0]!].entries()) {
      service.notes.push({ id: BigInt(index + 1), ownerId: 42n, assetId, text: `note ${index + 1}` });
    }
  });
  afterAll(() => api?.[Symbol.asyncDispose]());
  afterEach(() => void jest.restoreAllMocks());

  const page = async (variables: object = {}): Promise<NotesPage> => {
    const { data, errors } = await api.query(NOTES, variables);
    expect(errors).toBeUndefined();
    return data!.notesOfViewer as NotesPage;
  };

  it('loads the assets of a page in one statement, without those that the caller may not read', async () => {
    const query = jest.spyOn(database, 'query');
    service.calls.length = 0;
    const { nodes } = await page({ first: 100 });
    const readable = [...ids, null, shared, null, ids[0]];
    expect(nodes.map(({ asset }) => asset?.id ?? null)).toEqual(readable);
    const reads = query.mock.calls.filter(([{ name }]) => name.startsWith('assets_'));
    expect(reads.map(([{ name }]) => name)).toEqual(['assets_find_all']);
    // Each asset once, although two notes concern the first one.
    expect(reads[0]![1][0]).toHaveLength(ids.length + 3);
    expect(service.calls).toEqual([[...ids, shared]]);
  });

  it('contributes a field to assets of all lists, in one call', async () => {
    service.calls.length = 0;
    const { data, errors } = await api.query('{ assets { nodes { id notes { text } } } }');
    expect(errors).toBeUndefined();
    const { nodes } = data!.assets as { nodes: { id: string; notes: object[] }[] };
    expect(nodes.find(({ id }) => id === ids[0])?.notes).toEqual([{ text: 'note 1' }, { text: 'note 9' }]);
    expect(nodes.find(({ id }) => id === ids[1])?.notes).toEqual([{ text: 'note 2' }]);
    expect(service.calls).toHaveLength(1);
    const other = await api.query(`{ asset(id: "${shared}") { notes { text } } }`, {}, '43');
    expect(other.data!.asset).toEqual({ notes: [] });
  });

  it('reads the asset again for a later field of the operation', async () => {
    const own = { notes: [{ text: 'note 5' }] };
    const { data } = await api.query(`mutation { a: deleteAsset(id: "${ids[4]}") { notes { text } status }
      b: restoreAsset(id: "${ids[4]}") { notes { text } status } }`);
    expect(data).toEqual({
      a: { ...own, status: 'DELETED' },
      b: { ...own, status: 'READY' },
    });
  });

  it('pages through its list with cursors that no other list accepts', async () => {
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const { edges, pageInfo }: NotesPage = await page({ first: 4, after });
      seen.push(...edges.map(({ node }) => node.id));
      after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
    } while (after !== null);
    expect(seen).toEqual(service.notes.map(({ id }) => String(id)));
    const own = (await page({ first: 1 })).pageInfo.endCursor;
    const list = await api.query(`{ assets(first: 1) { pageInfo { endCursor } } }`);
    const { endCursor } = (list.data!.assets as NotesPage).pageInfo;
    for (const answer of [
      await api.query(`{ assets(after: "${own}") { nodes { id } } }`),
      await api.query(NOTES, { after: endCursor }),
    ]) {
      expect(answer.errors).toMatchObject([{ extensions: { reason: 'CURSOR_INVALID', path: ['after'] } }]);
    }
  });

  it('counts its lists towards the cost of an operation', async () => {
    // Each asset counts once, and each of its ten notes twenty times.
    const reasonFor = async (first: number) => {
      const query = `{ assets(first: ${first}) { nodes { notes { ${'id '.repeat(20)} } } } }`;
      return (await api.query(query)).errors?.[0]?.extensions.reason;
    };
    expect(await reasonFor(49)).toBeUndefined();
    expect(await reasonFor(50)).toBe('QUERY_TOO_COMPLEX');
  });

  it('refuses uploads one by one with the reason of its policy, and hides bugs', async () => {
    const inputs = ['a.txt', 'refused.txt', 'bug.txt'].map((filename) => ({
      filename,
      mimeType: 'text/plain',
      sizeBytes: 1,
      checksumSha256: '0'.repeat(64),
    }));
    const many = `mutation ($inputs: [RequestUploadInput!]!) { requestUploads(inputs: $inputs) {
      ... on RequestUploadPayload { asset { status } } ... on UploadRefusal { index code reason message path } } }`;
    const { data, errors } = await api.query(many, { inputs });
    expect(errors).toBeUndefined();
    expect(data!.requestUploads).toEqual([
      { asset: { status: 'PENDING' } },
      {
        index: 1,
        code: 'BAD_USER_INPUT',
        reason: 'NOTES_NAME_REFUSED',
        message: 'Refused.',
        path: ['inputs', '1', 'filename'],
      },
      {
        index: 2,
        code: 'INTERNAL_SERVER_ERROR',
        reason: 'UPLOAD_POLICY_FAILED',
        message: 'Something went wrong on our side.',
        path: null,
      },
    ]);
    const one = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }`;
    expect((await api.query(one, { input: inputs[1] })).errors).toMatchObject([
      {
        message: 'Refused.',
        extensions: { code: 'BAD_USER_INPUT', reason: 'NOTES_NAME_REFUSED', path: ['input', 'filename'] },
      },
    ]);
    const bug = await api.query(one, { input: inputs[2] });
    expect(bug.errors).toMatchObject([
      { extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) } },
    ]);
    expect(JSON.stringify(bug)).not.toMatch(/secret|POLICY/);
  });

  it('fails the start with a list without a limit', async () => {
    @ObjectType('Endless', { description: 'Has a list.' })
    class EndlessModel {
      @Field(() => [String], { description: 'A list.' })
      names: string[];
    }
    @Resolver()
    class EndlessResolver {
      @Query(() => EndlessModel, { description: 'Has a list.' })
      endless(): EndlessModel {
        return { names: [] };
      }
    }
    @Module({ providers: [EndlessResolver] })
    class EndlessModule {}
    const features = [
      defineFeature({ name: 'endless', compatibility: '*', api: () => Promise.resolve(EndlessModule) }),
    ];
    const env = { ...appEnvironment(api.databaseUrl, api.emulators), LOG_LEVEL: 'silent' };
    const app = await createApi(readApiConfig(env, features), features);
    try {
      await expect(app.init()).rejects.toThrow(
        'Endless.names is a list and needs the argument first or @MaxItems.',
      );
    } finally {
      await app.close();
    }
  });
});

it('prints the additions of a feature to the schema', async () => {
  const { additions, problems } = await schemaOf([notes]);
  expect(problems).toEqual([]);
  expect(additions).toBe(`extend type Asset {
  """Notes of the caller about the asset, at most 10."""
  notes: [Note!]!
}

"""A text about an asset."""
type Note {
  """Null when the caller may not read it."""
  asset: Asset

  """Stable identifier of the note."""
  id: ID!

  """The text."""
  text: String!
}

"""A page of notes."""
type NoteConnection {
  """The entries of this page with their cursors."""
  edges: [NoteEdge!]!

  """The entries of this page."""
  nodes: [Note!]!

  """Whether the list continues, and from which cursors."""
  pageInfo: PageInfo!
}

"""An entry of a list and its cursor."""
type NoteEdge {
  """Opaque cursor, valid only for this list in this order."""
  cursor: String!

  """The entry."""
  node: Note!
}

extend type Query {
  """Notes of the caller."""
  notesOfViewer(
    """With first: the cursor that the page comes after."""
    after: String

    """Page length; 1 to 100, by default 20."""
    first: Int

    """Not used."""
    text: String
  ): NoteConnection!
}
`);
});
