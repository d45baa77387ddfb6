import { execFile } from 'node:child_process';
import { accessSync, constants, mkdirSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { fileView } from './file-view.js';

/**
 * What keeps a process that reads hostile bytes from doing harm:
 * - `no-network`: a network namespace of its own, without any interface that is up;
 * - `own-processes`: a PID namespace of its own, so that it signals no other process, and the kernel ends all its descendants with it;
 * - `other-user`: neither the worker's user nor any that owns anything, one of its own for each of 14 processes, without groups;
 * - `no-capabilities`: none of root's powers, whatever the user;
 * - `no-new-privileges`: nothing that it starts can gain any (`PR_SET_NO_NEW_PRIVS`);
 * - `dies-with-parent`: the kernel ends it when the worker ends, however that ends (`PR_SET_PDEATHSIG`);
 * - `limits`: of memory, processor time, open files; it can write to no file and leaves no core (`setrlimit`);
 * - `file-permissions`: Node's permission model: its code reads the project, its packages and the spool folder, writes nothing.
 */
export const PROTECTIONS = [
  'no-network',
  'own-processes',
  'other-user',
  'no-capabilities',
  'no-new-privileges',
  'dies-with-parent',
  'limits',
  'file-permissions',
] as const;
export type Protection = (typeof PROTECTIONS)[number];

export interface Launch {
  /** Program and arguments of the process that has this place among all of them. */
  readonly command: (place: number) => readonly string[];
  readonly isolation: readonly Protection[];
}

export interface LaunchOptions {
  /** Processor time of the process, over its whole life. */
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly spoolFolder: string;
  /** Whether it may start programs (ffprobe). */
  readonly startsPrograms: boolean;
  /** Modules with readers that are not ours. */
  readonly readers: readonly string[];
}

interface Layer {
  readonly gives: readonly Protection[];
  /** Programs and their options, each of which starts the next. */
  readonly programs: readonly (readonly string[])[];
}

interface Flags {
  readonly gives: readonly Protection[];
  readonly words: readonly string[];
}

/** Compiled, also where the parent runs from its TypeScript (Jest does that): a child has no compiler. */
const ENTRY = import.meta.filename.endsWith('.ts')
  ? path.resolve(import.meta.dirname, '../../../dist/libs/inspection/src/child/main.js')
  : path.join(import.meta.dirname, 'child/main.js');
const ROOT = path.resolve(path.dirname(ENTRY), '../../../../..');

/** Where an administrator installs programs; a PATH could name others. */
export const SYSTEM_FOLDERS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin'];

/** Where a program of the system is, or null where it is not installed. */
export function findProgram(name: string, folders: readonly string[] = SYSTEM_FOLDERS): string | null {
  const isThere = (file: string) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return folders.map((folder) => path.join(folder, name)).find(isThere) ?? null;
}

/** Nobody's: between what systemd gives out and `nobody`, which owns something on many machines (PostgreSQL, here). */
const FIRST_USER = 65_520;
const USERS = 14;
const USER = '{user}';
const NO_CAPABILITIES = ['--ambient-caps=-all', '--inh-caps=-all', '--bounding-set=-all'];
const PRIVILEGES = ['--no-new-privs', '--pdeathsig', 'KILL'];

/** The process that waits for the first of a PID namespace must end with the worker too. */
const OWN_PROCESSES = [
  ['setpriv', '--pdeathsig', 'KILL'],
  ['unshare', '--pid', '--fork', '--kill-child'],
];
const USER_NAMESPACE = ['unshare', '--user', '--map-current-user'];

/** From strong to weak; the first that works is taken. */
const NAMESPACES: readonly Layer[] = [
  { gives: ['no-network', 'own-processes'], programs: [['unshare', '--net'], ...OWN_PROCESSES] },
  {
    gives: ['no-network', 'own-processes'],
    programs: [[...USER_NAMESPACE, '--keep-caps', '--net'], ...OWN_PROCESSES],
  },
  { gives: ['no-network'], programs: [['unshare', '--net']] },
  { gives: ['no-network'], programs: [[...USER_NAMESPACE, '--net']] },
];
const PRIVILEGE: readonly Layer[] = [
  {
    gives: ['other-user', 'no-capabilities', 'no-new-privileges', 'dies-with-parent'],
    programs: [
      ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', ...NO_CAPABILITIES, ...PRIVILEGES],
    ],
  },
  {
    gives: ['no-capabilities', 'no-new-privileges', 'dies-with-parent'],
    programs: [['setpriv', ...NO_CAPABILITIES, ...PRIVILEGES]],
  },
  { gives: ['no-new-privileges', 'dies-with-parent'], programs: [['setpriv', ...PRIVILEGES]] },
];

/** What V8 and libvips map as data without ever touching it (900 MB are needed to start). */
const UNTOUCHED_BYTES = 2 ** 30;
const OPEN_FILES = 256;

/** Not the number of processes, which counts those of the user on the whole machine; nor addresses, which WebAssembly reserves. */
const limits = ({ cpuSeconds, memoryBytes }: LaunchOptions): Layer => ({
  gives: ['limits'],
  programs: [
    [
      'prlimit',
      `--data=${memoryBytes + UNTOUCHED_BYTES}`,
      // SIGXCPU first, which says why it ended.
      `--cpu=${Math.ceil(cpuSeconds)}:${Math.ceil(cpuSeconds) + 1}`,
      `--nofile=${OPEN_FILES}`,
      '--fsize=0',
      '--core=0',
    ],
  ],
});

/** What the children read. */
function readableBy({ spoolFolder, readers }: LaunchOptions) {
  const packages = path.join(ROOT, 'node_modules');
  return {
    folders: [...new Set([path.join(ROOT, 'dist'), packages, realpathSync(packages), spoolFolder])],
    files: [path.join(ROOT, 'package.json'), ...readers],
  };
}

function permissions(options: LaunchOptions): Flags {
  const { folders, files } = readableBy(options);
  const readable = [...folders.map((folder) => `${folder}/*`), ...files];
  return {
    gives: ['file-permissions'],
    words: [
      '--permission',
      // sharp is one.
      '--allow-addons',
      '--disable-warning=SecurityWarning',
      ...(options.startsPrograms ? ['--allow-child-process'] : []),
      ...readable.map((file) => `--allow-fs-read=${file}`),
    ],
  };
}

const CHECK_TIMEOUT_MS = 30_000;
const run = promisify(execFile);
const NONE: Flags = { gives: [], words: [] };

/** The worker must not start: its children would read files as root. */
export class RootRefused extends Error {
  override name = 'RootRefused';

  constructor(spoolFolder: string) {
    super(
      `Files are never read as root, and no other user can read them here: install util-linux (setpriv, unshare), let other users ` +
        `read ${ROOT} and enter ${spoolFolder}, or start the worker as another user.`,
    );
  }
}

/**
 * The strongest way to start a child that this machine, this user and this installation allow. Makes the spool folder, where there
 * is none: a user who cannot get at it is no use.
 * @throws RootRefused when this process is root and a child cannot be another user
 * @throws Error when it does not start in any way, so that nothing can be learned about ways
 */
export async function findLaunch(options: LaunchOptions, folders = SYSTEM_FOLDERS): Promise<Launch> {
  mkdirSync(options.spoolFolder, { recursive: true, mode: 0o711 });
  const heapMebibytes = Math.max(64, Math.floor(options.memoryBytes / 2 ** 21));
  const compose = (layers: readonly Layer[], flags: Flags): Launch => {
    const words = [
      ...layers.flatMap((layer) => layer.programs.flatMap((program) => [...program, '--'])),
      process.execPath,
      `--max-old-space-size=${heapMebibytes}`,
      ...flags.words,
      ENTRY,
      options.spoolFolder,
      ...options.readers,
    ];
    return {
      command: (place) => words.map((word) => word.replace(USER, String(FIRST_USER + (place % USERS)))),
      isolation: [...layers.flatMap(({ gives }) => gives), ...flags.gives],
    };
  };
  const check = ({ command }: Launch) => {
    const [file = '', ...args] = command(0);
    return run(file, args, { env: {}, cwd: '/', timeout: CHECK_TIMEOUT_MS, killSignal: 'SIGKILL' });
  };
  const works = (launch: Launch) =>
    check(launch).then(
      () => true,
      (error: { killed?: boolean }) => {
        // A machine that is too slow just now refuses nothing.
        if (error.killed === true) throw new Error('A process that looks into files was not there in time.');
        return false;
      },
    );

  const installed = ({ gives, programs }: Layer): Layer[] => {
    const found = programs.map(([name = '', ...rest]) => [findProgram(name, folders) ?? '', ...rest]);
    return found.every(([file]) => file !== '') ? [{ gives, programs: found }] : [];
  };
  const isRoot = process.getuid?.() === 0;
  const orRefuse = (launch: Launch): Launch => {
    if (isRoot && !launch.isolation.includes('other-user')) throw new RootRefused(options.spoolFolder);
    return launch;
  };
  const readable = readableBy(options);
  const view = isRoot ? fileView([...readable.folders, ...readable.files, process.execPath]) : [];
  const views = view.length === 0 ? [] : installed({ gives: [], programs: view });
  const stages = [NAMESPACES, isRoot ? PRIVILEGE.slice(0, 1) : PRIVILEGE, [limits(options)]].map((layers) =>
    layers.flatMap(installed),
  );
  const flags = permissions(options);
  const strongest = compose([...views, ...stages.flatMap((layers) => layers.slice(0, 1))], flags);
  if (await works(strongest)) return orRefuse(strongest);

  await check(compose([], NONE));
  const chosen: Layer[] = (await works(compose(views, NONE))) ? views : [];
  for (const layers of stages) {
    for (const layer of layers) {
      if (!(await works(compose([...chosen, layer], NONE)))) continue;
      chosen.push(layer);
      break;
    }
  }
  const withFlags = compose(chosen, flags);
  return orRefuse((await works(withFlags)) ? withFlags : compose(chosen, NONE));
}
