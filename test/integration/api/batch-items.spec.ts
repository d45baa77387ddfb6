import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestApi } from '../../../libs/testing/src/test-api.js';

const RESULT = `__typename ... on RequestUploadPayload { asset { filename checksumSha256 } upload { method } }
  ... on UploadRefusal { index code reason message path }`;
const MANY = `mutation ($inputs: [RequestUploadInput!]!) { requestUploads(inputs: $inputs) { ${RESULT} } }`;
const ONE = `mutation ($i: RequestUploadInput!) { requestUpload(input: $i) { asset { id checksumSha256 } } }`;

const HASH = 'ab'.repeat(32);
const RIGHT = { filename: 'a.txt', mimeType: 'text/plain', sizeBytes: 1, checksumSha256: HASH };
const grant = (more: object) => ({ principal: 'user:7', permissions: ['READ'], ...more });

/** Values that a scalar rejects, in every position of an item. */
const WRONG: [at: (string | number)[], wrong: object, reason: string][] = [
  [['checksumSha256'], { checksumSha256: 'a'.repeat(63) }, 'CHECKSUM_INVALID'],
  [['checksumSha256'], { checksumSha256: '' }, 'CHECKSUM_INVALID'],
  [['checksumSha256'], { checksumSha256: 7 }, 'CHECKSUM_INVALID'],
  [['checksumSha256'], { checksumSha256: ['a'] }, 'CHECKSUM_INVALID'],
  [['sizeBytes'], { sizeBytes: -1 }, 'NUMBER_INVALID'],
  [['sizeBytes'], { sizeBytes: 1.5 }, 'NUMBER_INVALID'],
  [['sizeBytes'], { sizeBytes: '9007199254740993' }, 'NUMBER_INVALID'],
  [['sizeBytes'], { sizeBytes: true }, 'NUMBER_INVALID'],
  [['filename'], { filename: 42 }, 'VALUE_INVALID'],
  [['mimeType'], { mimeType: { type: 'text/plain' } }, 'VALUE_INVALID'],
  [['crc32c'], { crc32c: false }, 'VALUE_INVALID'],
  [['idempotencyKey'], { idempotencyKey: 1 }, 'VALUE_INVALID'],
  [
    ['metadata', 1, 'value'],
    {
      metadata: [
        { key: 'a', value: '' },
        { key: 'b', value: 1 },
      ],
    },
    'VALUE_INVALID',
  ],
  [['metadata', 'key'], { metadata: { key: 1, value: '' } }, 'VALUE_INVALID'],
  [['acl', 0, 'principal'], { acl: [grant({ principal: 7 })] }, 'VALUE_INVALID'],
  [['acl', 0, 'expiresAt'], { acl: [grant({ expiresAt: '2099-01-01' })] }, 'DATE_TIME_INVALID'],
  [['acl', 1, 'expiresAt'], { acl: [grant({}), grant({ expiresAt: 4 })] }, 'DATE_TIME_INVALID'],
];
/** Malformed inputs, which GraphQL reports as errors of the whole request. */
const MALFORMED: [at: (string | number)[], wrong: object][] = [
  [['method'], { method: 'FTP' }],
  [['method'], { method: 1 }],
  [['acl', 0, 'permissions', 0], { acl: [grant({ permissions: ['FLY'] })] }],
  [['filename'], { filename: undefined }],
  [['filename'], { filename: null }],
  [['colour'], { colour: 'red' }],
  [['acl', 0, 'permissions'], { acl: [{ principal: 'user:7' }] }],
  [['metadata', 0, 'kind'], { metadata: [{ key: 'a', value: 'b', kind: 'c' }] }],
  [['metadata', 0], { metadata: ['a'] }],
];

/** Formats a GraphQL literal; `name` identifies enum fields. */
function literal(value: unknown, name = ''): string {
  if (Array.isArray(value)) return `[${value.map((each) => literal(each, name)).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).filter(([, each]) => each !== undefined);
    return `{ ${fields.map(([key, each]) => `${key}: ${literal(each, key)}`).join(', ')} }`;
  }
  return /^(method|permissions)$/.test(name) && typeof value === 'string' ? value : JSON.stringify(value);
}

describe('invalid scalar values (real: PostgreSQL, HTTP)', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await TestApi.start();
  });
  afterAll(() => api[Symbol.asyncDispose]());

  const results = async (query: string, variables: object = {}) => {
    const { data, errors } = await api.query(query, variables);
    expect(errors).toBeUndefined();
    return data!.requestUploads as { index?: number; message?: string }[];
  };
  const ACCEPTED = {
    __typename: 'RequestUploadPayload',
    asset: { filename: 'a.txt', checksumSha256: HASH },
    upload: { method: 'PUT' },
  };
  const refusal = (index: number, at: (string | number)[], reason: string) => ({
    __typename: 'UploadRefusal',
    index,
    code: 'BAD_USER_INPUT',
    reason,
    message: expect.stringMatching(/^inputs\[\d+\]\.\w+.*: /) as unknown,
    path: ['inputs', ...at].map(String),
  });

  it.each(WRONG)(
    'reject only the item with an invalid %j, as a variable and as a literal (%#)',
    async (at, wrong, reason) => {
      const inputs = [RIGHT, { ...RIGHT, ...wrong }, RIGHT];
      const expected = [ACCEPTED, refusal(1, [1, ...at], reason), ACCEPTED];
      expect(await results(MANY, { inputs })).toEqual(expected);
      const written = `mutation { requestUploads(inputs: ${literal(inputs)}) { ${RESULT} } }`;
      // The second request uses the cached document.
      for (let time = 0; time < 2; time++) expect(await results(written)).toEqual(expected);
    },
  );

  it('reject an item for the variables of its own request only, in a document with an invalid literal', async () => {
    const second = `{ ${literal({ ...RIGHT, sizeBytes: undefined }).slice(2, -2)}, sizeBytes: $size }`;
    const query = `mutation ($size: ByteSize!) {
      requestUploads(inputs: [${literal({ ...RIGHT, sizeBytes: -1 })}, ${second}]) { ${RESULT} } }`;
    const [first, rejected] = [0, 1].map((index) => refusal(index, [index, 'sizeBytes'], 'NUMBER_INVALID'));
    expect(await results(query, { size: -1 })).toEqual([first, rejected]);
    expect(await results(query, { size: 1 })).toEqual([first, ACCEPTED]);
  });

  it.each(WRONG)('fail a single request with the path of the invalid %j (%#)', async (at, wrong, reason) => {
    const i = { ...RIGHT, ...wrong };
    const code = reason === 'VALUE_INVALID' ? {} : { code: 'BAD_USER_INPUT', reason };
    const written = `mutation { requestUpload(input: ${literal(i)}) { asset { id } } }`;
    for (const answer of [await api.query(ONE, { i }), await api.query(written)]) {
      expect(answer.data ?? null).toBeNull();
      expect(answer.errors).toMatchObject([{ extensions: { ...code, path: ['input', ...at] } }]);
    }
  });

  it.each(MALFORMED)(
    'differ from a malformed %j, which fails the request with its path (%#)',
    async (at, wrong) => {
      const inputs = [RIGHT, { ...RIGHT, ...wrong }, { ...RIGHT, sizeBytes: -1 }];
      const before = await api.query('{ viewer { quota { reservedAssets } } }');
      const written = `mutation { requestUploads(inputs: ${literal(inputs)}) { ${RESULT} } }`;
      for (const answer of [await api.query(MANY, { inputs }), await api.query(written)]) {
        expect(answer.data ?? null).toBeNull();
        expect(answer.errors?.map(({ extensions }) => extensions)).toEqual([
          expect.objectContaining({ path: ['inputs', 1, ...at] }),
        ]);
      }
      expect(await api.query('{ viewer { quota { reservedAssets } } }')).toEqual(before);
    },
  );

  it('fail the request if their item is also malformed', async () => {
    const mixed = { ...RIGHT, sizeBytes: -1, method: 'FTP' };
    const { data, errors } = await api.query(MANY, { inputs: [RIGHT, mixed] });
    expect(data ?? null).toBeNull();
    expect(errors).toHaveLength(2);
    expect(errors?.map(({ extensions }) => extensions)).toEqual(
      expect.arrayContaining([
        { code: 'BAD_USER_INPUT', reason: 'NUMBER_INVALID', path: ['inputs', 1, 'sizeBytes'] },
        { code: 'BAD_USER_INPUT', path: ['inputs', 1, 'method'] },
      ]),
    );
  });

  it('are reported one per item', async () => {
    const wrong = { ...RIGHT, checksumSha256: 'x', filename: 1, acl: [grant({ expiresAt: 'soon' })] };
    expect(await results(MANY, { inputs: [RIGHT, wrong] })).toEqual([
      ACCEPTED,
      refusal(1, [1, 'acl', 0, 'expiresAt'], 'DATE_TIME_INVALID'),
    ]);
  });

  it('are rejected in every item, and in a single item that is not written as a list', async () => {
    const wrong = { ...RIGHT, sizeBytes: -1 };
    const all = Array.from({ length: 100 }, (_, index) =>
      refusal(index, [index, 'sizeBytes'], 'NUMBER_INVALID'),
    );
    expect(await results(MANY, { inputs: all.map(() => wrong) })).toEqual(all);
    const alone = [refusal(0, [0, 'sizeBytes'], 'NUMBER_INVALID')];
    expect(await results(`mutation { requestUploads(inputs: ${literal(wrong)}) { ${RESULT} } }`)).toEqual(
      alone,
    );
    expect(await results(MANY, { inputs: wrong })).toEqual([refusal(0, [0, 'sizeBytes'], 'NUMBER_INVALID')]);
  });

  it('are rejected in every position of a variable', async () => {
    const query = `mutation ($item: RequestUploadInput!, $hash: Sha256!, $acl: [AclInput!], $name: String!) {
      first: requestUploads(inputs: [$item, { filename: $name, mimeType: "text/plain", sizeBytes: 1, checksumSha256: $hash }]) { ${RESULT} }
      ...Second
    }
    fragment Second on Mutation {
      second: requestUploads(inputs: [{ filename: "a.txt", mimeType: "text/plain", sizeBytes: 1, checksumSha256: "${HASH}", acl: $acl }, $item]) { ${RESULT} }
    }`;
    const right = { item: RIGHT, hash: HASH, acl: [grant({})], name: 'a.txt' };
    const ask = async (more: object) => (await api.query(query, { ...right, ...more })).data;
    expect(await ask({})).toEqual({ first: [ACCEPTED, ACCEPTED], second: [ACCEPTED, ACCEPTED] });
    expect(await ask({ hash: 'x', acl: [grant({ expiresAt: 'x' })] })).toEqual({
      first: [ACCEPTED, refusal(1, [1, 'checksumSha256'], 'CHECKSUM_INVALID')],
      second: [refusal(0, [0, 'acl', 0, 'expiresAt'], 'DATE_TIME_INVALID'), ACCEPTED],
    });
    expect(await ask({ item: { ...RIGHT, sizeBytes: -1 } })).toEqual({
      first: [refusal(0, [0, 'sizeBytes'], 'NUMBER_INVALID'), ACCEPTED],
      second: [ACCEPTED, refusal(1, [1, 'sizeBytes'], 'NUMBER_INVALID')],
    });
  });

  it('fail the whole request if their variable is also used outside of a batch', async () => {
    const query = `mutation ($item: RequestUploadInput!) {
      requestUploads(inputs: [$item]) { ${RESULT} } requestUpload(input: $item) { asset { id } } }`;
    const before = await api.query('{ viewer { quota { reservedAssets } } }');
    const { data, errors } = await api.query(query, { item: { ...RIGHT, sizeBytes: -1 } });
    expect(data ?? null).toBeNull();
    expect(errors).toMatchObject([{ extensions: { path: ['inputs', 0, 'sizeBytes'] } }]);
    const two = `mutation { a: requestUpload(input: ${literal(RIGHT)}) { asset { id } }
      b: requestUpload(input: ${literal({ ...RIGHT, sizeBytes: -1 })}) { asset { id } } }`;
    expect((await api.query(two)).errors).toMatchObject([{ extensions: { path: ['input', 'sizeBytes'] } }]);
    expect(await api.query('{ viewer { quota { reservedAssets } } }')).toEqual(before);
  });

  it('do not affect the next request with the same document', async () => {
    expect(await results(MANY, { inputs: [{ ...RIGHT, sizeBytes: -1 }] })).toEqual([
      refusal(0, [0, 'sizeBytes'], 'NUMBER_INVALID'),
    ]);
    expect(await results(MANY, { inputs: [RIGHT] })).toEqual([ACCEPTED]);
  });

  it('do not hide that a batch is too long', async () => {
    const inputs = Array.from({ length: 101 }, () => RIGHT);
    expect((await api.query(MANY, { inputs })).errors).toMatchObject([
      { extensions: { reason: 'BATCH_SIZE' } },
    ]);
    const wrong = inputs.map((input) => ({ ...input, sizeBytes: -1 }));
    const { errors = [] } = await api.query(MANY, { inputs: wrong });
    expect(errors[0]).toMatchObject({ extensions: { path: ['inputs', 0, 'sizeBytes'] } });
    expect(errors.length).toBeLessThan(100);
  });

  it('do not include a SHA-256 in upper case, which is returned in lower case', async () => {
    const inputs = [{ ...RIGHT, checksumSha256: HASH.toUpperCase() }];
    expect(await results(MANY, { inputs })).toEqual([ACCEPTED]);
    const { data } = await api.query(ONE, { i: inputs[0] });
    expect(data).toMatchObject({ requestUpload: { asset: { checksumSha256: HASH } } });
  });

  it.each<[string, string, object, (string | number)[]]>([
    [
      'in the filter of a list',
      'query ($f: AssetFilter) { assets(filter: $f) { nodes { id } } }',
      { f: { checksumSha256: 'x' } },
      ['filter', 'checksumSha256'],
    ],
    [
      'in a literal filter',
      '{ assets(filter: { createdAfter: "yesterday" }) { nodes { id } } }',
      {},
      ['filter', 'createdAfter'],
    ],
    ['for an enum argument', '{ assets(scope: MINE) { nodes { id } } }', {}, ['scope']],
    [
      'for a number argument',
      'query ($n: Int) { assets(first: $n) { nodes { id } } }',
      { n: 'ten' },
      ['first'],
    ],
    ['for a missing variable', 'query ($id: ID!) { asset(id: $id) { id } }', {}, ['id']],
    ['for a null variable', 'query ($id: ID!) { asset(id: $id) { id } }', { id: null }, ['id']],
    [
      'deep in a selection',
      '{ assets { nodes { downloadUrl(expiresInSeconds: "x") { url } } } }',
      {},
      ['expiresInSeconds'],
    ],
  ])('are reported with a path %s', async (_, query, variables, path) => {
    const { errors } = await api.query(query, variables);
    expect(errors?.map(({ extensions }) => extensions)).toEqual([expect.objectContaining({ path })]);
  });
});
