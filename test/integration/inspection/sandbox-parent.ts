/** Parent to be killed; its one child waits or loops. Arguments: dist, type, CPU seconds, folder of programs. */
const [dist, type = '', cpuSeconds, folder] = process.argv.slice(2);
const load = async <T>(file: string) => (await import(`${dist}/libs/inspection/src/${file}`)) as T;
const { findLaunch } = await load<typeof import('../../../libs/inspection/src/isolation.js')>('isolation.js');
const { SandboxedProcess } =
  await load<typeof import('../../../libs/inspection/src/sandboxed-process.js')>('sandboxed-process.js');

const readers = [new URL('./sandbox-readers.ts', import.meta.url).pathname];
const { command } = await findLaunch(
  {
    cpuSeconds: Number(cpuSeconds),
    memoryBytes: 2 ** 30,
    spoolFolder: import.meta.dirname,
    startsPrograms: false,
    readers,
    modules: [],
  },
  folder === undefined ? undefined : [folder],
);
const child = new SandboxedProcess(command(0), 2 ** 30);
await child.ready;
const file = {
  path: import.meta.filename,
  sizeBytes: Number(process.env.SIZE),
  detected: type,
  profiles: [],
};
const limits = { maxPixels: 1, maxFrames: 1, ffprobe: null };
if (type !== '') child.run({ kind: 'inspect', file, limits }, 600).catch(console.error);
process.stdout.write('ready\n');
setInterval(() => undefined, 1000);
