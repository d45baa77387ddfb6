import path from 'node:path';

/** A lib imports only libs of a lower rank, and only through their entry points. Apps and tests may import all libs. */
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
const libOf = (file) => /^libs\/([^/]+)\//.exec(path.relative(ROOT, file).replaceAll(path.sep, '/'))?.[1];

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

const ranksRule = {
  meta: { type: 'problem', schema: [] },
  create(context) {
    const own = libOf(context.filename);
    if (own === undefined) return {};
    if (!(own in RANKS)) {
      return { Program: (node) => context.report({ node, message: `lib ${own} has no rank` }) };
    }
    return importVisitor((node, specifier) => {
      const target = resolve(context.filename, specifier);
      if (target === null) return;
      const other = libOf(target);
      if (specifier.startsWith('.') && other !== own) {
        context.report({ node, message: `${specifier} leaves the lib; import its entry point (#libs/…)` });
      } else if (specifier.startsWith('#') && other === own) {
        context.report({ node, message: `${specifier} is this lib's own entry point; import the file` });
      } else if (other !== own && !(RANKS[other] < RANKS[own])) {
        context.report({
          node,
          message: `${own} (rank ${RANKS[own]}) may not import ${other} (rank ${RANKS[other] ?? 'unknown'})`,
        });
      }
    });
  },
};

export const ranks = { rules: { ranks: ranksRule } };
