/**
 * Lets Node.js run the TypeScript sources outside Jest: resolves `./x.js` to `./x.ts` where no build exists, and `#libs/x`
 * to the source of the lib.
 */
import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../..');

registerHooks({
  resolve(specifier, context, next) {
    const lib = /^#libs\/([^/]+)(?:\/([^/]+))?$/.exec(specifier);
    if (lib) {
      return next(path.join(ROOT, 'libs', lib[1], 'src', lib[2] ?? '', 'index.ts'), context);
    }
    if (/^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith('.ts')) {
      const source = specifier.replace(/\.js$/, '.ts');
      if (existsSync(new URL(source, context.parentURL))) return next(source, context);
    }
    return next(specifier, context);
  },
});
