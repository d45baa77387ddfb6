import fs from 'node:fs';
import path from 'node:path';

/**
 * The house rule: a lib imports only libs of a lower rank, and only through their doors. Apps and tests stand above all
 * libs. The second rule forbids cycles between files.
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
};
const ROOT = import.meta.dirname;
const libOf = (file) => /^libs\/([^/]+)\//.exec(path.relative(ROOT, file).replaceAll(path.sep, '/'))?.[1];

/** Where an import of ours leads, or null for a package. */
function resolve(from, specifier) {
  if (specifier.startsWith('.')) {
    return path.resolve(path.dirname(from), specifier.replace(/\.js$/, '.ts'));
  }
  const door = /^#libs\/([^/]+)(?:\/([^/]+))?$/.exec(specifier);
  return door && path.join(ROOT, 'libs', door[1], 'src', door[2] ?? '', 'index.ts');
}

const importVisitor = (check) => ({
  ImportDeclaration: (node) => check(node, node.source.value, node.importKind === 'type'),
  ExportAllDeclaration: (node) => check(node, node.source.value, node.exportKind === 'type'),
  ExportNamedDeclaration: (node) => node.source && check(node, node.source.value, node.exportKind === 'type'),
  ImportExpression: (node) => node.source.type === 'Literal' && check(node, node.source.value, false),
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
        context.report({ node, message: `${specifier} leaves the lib; use a door (#libs/…)` });
      } else if (specifier.startsWith('#') && other === own) {
        context.report({ node, message: `${specifier} is this lib's own door; import the file` });
      } else if (other !== own && !(RANKS[other] < RANKS[own])) {
        context.report({
          node,
          message: `${own} (rank ${RANKS[own]}) may not import ${other} (rank ${RANKS[other] ?? 'unknown'})`,
        });
      }
    });
  },
};

const IMPORT = /^(?:import|export)\s(?!type\s)(?:[^'";]*?\sfrom\s*)?['"]([^'"]+)['"]/gm;
const importsOf = new Map();
function imports(file) {
  let found = importsOf.get(file);
  if (found === undefined) {
    found = [];
    if (fs.existsSync(file)) {
      for (const match of fs.readFileSync(file, 'utf8').matchAll(IMPORT)) {
        const target = resolve(file, match[1]);
        if (target) found.push(target);
      }
    }
    importsOf.set(file, found);
  }
  return found;
}

function pathBetween(from, to) {
  const seen = new Map([[from, null]]);
  const queue = [from];
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    if (file === to) {
      const trail = [];
      for (let step = file; step !== null; step = seen.get(step)) trail.unshift(path.basename(step));
      return trail;
    }
    for (const next of imports(file)) {
      if (!seen.has(next)) {
        seen.set(next, file);
        queue.push(next);
      }
    }
  }
  return null;
}

const cyclesRule = {
  meta: { type: 'problem', schema: [] },
  create: (context) =>
    importVisitor((node, specifier, typeOnly) => {
      const target = typeOnly ? null : resolve(context.filename, specifier);
      const back = target && pathBetween(target, context.filename);
      if (back) context.report({ node, message: `import cycle: ${back.join(' → ')}` });
    }),
};

export const ranks = { rules: { ranks: ranksRule, 'no-cycles': cyclesRule } };
