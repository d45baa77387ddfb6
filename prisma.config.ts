import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { defineConfig } from 'prisma/config';
import { projectSchema } from './scripts/prisma/project-schema.ts';

// The official engine is a binary that is downloaded when Prisma is installed. Where it could not be, the same engine
// runs as WebAssembly behind a program that speaks the binary's protocol.
const prisma = createRequire(createRequire(import.meta.url).resolve('prisma/package.json'));
const engines = path.dirname(prisma.resolve('@prisma/engines/package.json'));
if (!readdirSync(engines).some((name) => name.startsWith('schema-engine-'))) {
  process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= path.resolve(
    import.meta.dirname,
    'scripts/prisma/schema-engine.mjs',
  );
}

const { schema, migrations } = projectSchema(import.meta.dirname);

export default defineConfig({
  schema,
  datasource: { url: process.env.DATABASE_URL },
  migrations: { path: migrations },
});
