import path from 'node:path';

/**
 * A lib imports only libs of a lower rank, and only through their entry points. A lib without a rank is a feature: it imports
 * the core up to rank 8, no other feature, and only stowage.features.ts imports it. Apps and tests may import all libs of the
 * core.
 */
export const RANKS = {
  domain: 0,
  runtime: 0,
  database: 1,
  storage: 1,
  scanner: 1,
  inspection: 1,
  'gcp-emulator': 1,
  graphql: 1,
  identity: 2,
  queue: 2,
  events: 3,
  access: 3,
  quota: 3,
  content: 4,
  assets: 5,
  upload: 6,
  processing: 6,
  delivery: 6,
  lifecycle: 7,
  stowage: 8,
  testing: 9,
};
const ROOT = import.meta.dirname;
const LIST = 'stowage.features.ts';
const relative = (file) => path.relative(ROOT, file).replaceAll(path.sep, '/');
const libOf = (file) => /^libs\/([^/]+)\//.exec(relative(file))?.[1];

/** Where an import of ours leads, or null for a package. */
function resolve(from, specifier) {
  if (specifier.startsWith('.')) {
    return path.resolve(path.dirname(from), specifier.replace(/\.js$/, '.ts'));
  }
  const entryPoint = /^#libs\/([^/]+)(?:\/([^/]+))?$/.exec(specifier);
  return entryPoint && path.join(ROOT, 'libs', entryPoint[1], 'src', entryPoint[2] ?? '', 'index.ts');
}

const importVisitor = (check) => ({
  ImportDeclaration: (node) => check(node, node.source.value),
  ExportAllDeclaration: (node) => check(node, node.source.value),
  ExportNamedDeclaration: (node) => node.source && check(node, node.source.value),
  ImportExpression: (node) => node.source.type === 'Literal' && check(node, node.source.value),
});

const isFeature = (lib) => lib !== undefined && !Object.hasOwn(RANKS, lib);
/** The lib with the highest rank that features import. Their tests may also import the test kit. */
const MAX_RANK_FOR_FEATURES = RANKS.stowage;
const isTest = (file) => /\.spec\.ts$|^libs\/[^/]+\/test\//.test(relative(file));

/** Why a file of the feature `own` may not import the lib `other`; undefined if it may. */
function problemOfFeature(file, own, other) {
  if (isFeature(other))
    return `the feature ${own} may not import ${other}, which is another feature or unknown`;
  if (other === 'gcp-emulator')
    return `the feature ${own} may not import gcp-emulator; tests import #libs/testing`;
  if (RANKS[other] <= MAX_RANK_FOR_FEATURES || isTest(file)) return undefined;
  return `only tests of the feature ${own} may import ${other}`;
}

/** Why a file may not import this specifier; undefined if it may. */
function problem(file, specifier) {
  const target = resolve(file, specifier);
  if (target === null) return undefined;
  const [own, other] = [libOf(file), libOf(target)];
  if (own === other) {
    const isEntryPoint = own !== undefined && specifier.startsWith('#');
    return isEntryPoint ? `${specifier} is this lib's own entry point; import the file` : undefined;
  }
  if (own !== undefined && specifier.startsWith('.'))
    return `${specifier} leaves the lib; import its entry point (#libs/…)`;
  if (isFeature(own)) return problemOfFeature(file, own, other);
  if (isFeature(other))
    return relative(file) === LIST ? undefined : `only ${LIST} may import the feature ${other}`;
  if (own === undefined || RANKS[other] < RANKS[own]) return undefined;
  return `${own} (rank ${RANKS[own]}) may not import ${other} (rank ${RANKS[other]})`;
}

const ranksRule = {
  meta: { type: 'problem', schema: [] },
  create: (context) =>
    importVisitor((node, specifier) => {
      const message = problem(context.filename, specifier);
      if (message !== undefined) context.report({ node, message });
    }),
};

export const ranks = { rules: { ranks: ranksRule } };
