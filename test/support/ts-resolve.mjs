/**
 * Lets Node.js run the sources as they are, outside Jest's own module system: `./x.js` is `./x.ts` until it is built, and
 * `#libs/x` is the source of the lib.
 */
import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../..');

registerHooks({
  resolve(specifier, context, next) {
    const door = /^#libs\/([^/]+)(?:\/([^/]+))?$/.exec(specifier);
    if (door) {
      return next(path.join(ROOT, 'libs', door[1], 'src', door[2] ?? '', 'index.ts'), context);
    }
    if (/^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith('.ts')) {
      const source = specifier.replace(/\.js$/, '.ts');
      if (existsSync(new URL(source, context.parentURL))) return next(source, context);
    }
    return next(specifier, context);
  },
});
