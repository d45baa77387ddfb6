import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { LAYOUT, START } from './browser.js';

/** A file that the page loads. Its path contains its version or its hash, so it can be cached forever. */
export interface PageAsset {
  readonly path: string;
  readonly type: string;
  readonly body: Buffer;
}

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';
const ASSETS_PATH = '/graphql/assets';

const require = createRequire(import.meta.url);

function fromPackage(name: string, file: string, type: string): PageAsset {
  // The packages do not export these files by name.
  const manifest = require.resolve(`${name}/package.json`);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const body = readFileSync(path.join(path.dirname(manifest), file));
  return { path: `${ASSETS_PATH}/${name}-${version}/${path.basename(file)}`, type, body };
}

function ofText(name: string, text: string, type: string): PageAsset {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { path: `${ASSETS_PATH}/stowage-${hash}/${name}`, type, body: Buffer.from(text) };
}

/** The files of the page in loading order: files of npm packages, and the layout and script of this project. */
export const readPageAssets = () => ({
  styles: [fromPackage('graphiql', 'graphiql.min.css', STYLE), ofText('layout.css', LAYOUT, STYLE)],
  scripts: [
    fromPackage('react', 'umd/react.production.min.js', SCRIPT),
    fromPackage('react-dom', 'umd/react-dom.production.min.js', SCRIPT),
    fromPackage('graphiql', 'graphiql.min.js', SCRIPT),
    ofText('start.js', START, SCRIPT),
  ],
});
