/**
 * Imports a module of the build. Node.js cannot run sources with decorators, but types may come from the sources:
 * `await built<typeof import('../libs/x/src/y.ts')>('libs/x/src/y')`.
 */
export async function built<Module>(name: string): Promise<Module> {
  return (await import(new URL(`../dist/${name}.js`, import.meta.url).href)) as Module;
}
