/** Reads and checks files as their text says, also as a hostile file might make it. Children load this source. */
interface File {
  readonly sizeBytes: number;
  readonly mediaType: string;
  read(offset: number, length: number): Promise<Buffer>;
}

const loop = (): never => {
  for (;;);
};

const READS: Record<string, (file: File, word: string) => unknown> = {
  length: (_, metres) => ({ trackLengthMeters: Number(metres), name: 'a track' }),
  nothing: () => ({}),
  loop,
  exit: () => process.exit(7),
  throw: () => {
    throw new TypeError('a bug in a reader');
  },
  null: () => null,
  text: () => 'no object',
  huge: () => ({ name: 'x'.repeat(2 ** 21) }),
  hostile: () => ({
    ...{ trackLengthMeters: -1, name: 'a\u0000\u202ename'.padEnd(1000, 'x'), isLoop: true },
    ...{ other: { deep: [] }, constructor: 1 },
  }),
  type: (file) => ({ name: `${file.mediaType} ${file.sizeBytes}` }),
  outside: async (file) => ({ trackLengthMeters: (await file.read(file.sizeBytes - 2, 10)).length }),
  greedy: (file) => file.read(0, 2 ** 25),
  endless: async (file) => {
    for (;;) await file.read(0, 2 ** 24);
  },
  wait: () => new Promise(() => undefined),
  steal: async () => {
    const { readFileSync } = await import('node:fs');
    return { name: readFileSync('/etc/hostname', 'utf8') };
  },
};

const CHECKS: Record<string, () => unknown> = {
  refuse: () => ({ reason: 'TRACKS_REFUSED', message: 'Not\u0000\n accepted' }),
  silent: () => ({ reason: 'TRACKS_REFUSED' }),
  undeclared: () => ({ reason: 'TRACKS_OTHER', message: 'x' }),
  core: () => ({ reason: 'MALWARE', message: 'x' }),
  true: () => true,
  missing: () => undefined,
  loop,
  exit: () => process.exit(7),
  throw: () => {
    throw new TypeError('a bug in a check');
  },
};

/** The words behind `read` or `check` in the file. */
async function wordsOf(file: File, name: string): Promise<string[]> {
  const text = (await file.read(0, 1000)).toString();
  return new RegExp(`\\b${name} (\\w+) ?([\\d.]*)`).exec(text)?.slice(1) ?? [];
}

export async function read(file: File): Promise<unknown> {
  const [name = 'nothing', word = ''] = await wordsOf(file, 'read');
  return READS[name]!(file, word);
}

export async function check(file: File): Promise<unknown> {
  const [name = ''] = await wordsOf(file, 'check');
  return name === '' ? null : CHECKS[name]!();
}
