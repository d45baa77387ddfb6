/**
 * A module of the build. Sources with decorators do not run as they are; their types do no harm:
 * `await built<typeof import('../libs/x/src/y.ts')>('libs/x/src/y')`.
 */
export async function built<Module>(name: string): Promise<Module> {
  return (await import(new URL(`../dist/${name}.js`, import.meta.url).href)) as Module;
}
