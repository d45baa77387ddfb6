import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fileView } from './file-view.js';

/**
 * Protections against a process that reads hostile bytes:
 * - `no-network`: it has its own network namespace, in which no interface is up;
 * - `own-processes`: it has its own PID namespace: it cannot signal others, and the kernel kills its descendants with it;
 * - `other-user`: it runs as an unused user without groups, not as the worker's user; 14 processes get 14 different users;
 * - `no-capabilities`: it has no capabilities, whatever its user;
 * - `no-new-privileges`: its descendants cannot gain privileges (`PR_SET_NO_NEW_PRIVS`);
 * - `dies-with-parent`: the kernel kills it when the worker ends for any reason (`PR_SET_PDEATHSIG`);
 * - `limits`: memory, processor time and open files are limited; it cannot write files and leaves no core (`setrlimit`);
 * - `file-permissions`: Node's permission model allows reading the project, packages and spool folder, and no writing.
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
  /** Returns the program and arguments for the process in this slot. Each slot, up to 14, runs as a user of its own. */
  readonly command: (slot: number) => readonly string[];
  readonly isolation: readonly Protection[];
}

export interface LaunchOptions {
  /** Limit of the processor time over the whole life of the process, in seconds. */
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly spoolFolder: string;
  /** Whether the process may start other programs (ffprobe). */
  readonly startsPrograms: boolean;
  /** Absolute paths of additional modules that export `READERS`. */
  readonly readers: readonly string[];
  /** Absolute paths of the modules of features. */
  readonly modules: readonly string[];
}

interface Layer {
  readonly gives: readonly Protection[];
  /** Commands with their options; each one starts the next. */
  readonly programs: readonly (readonly string[])[];
}

interface Flags {
  readonly gives: readonly Protection[];
  readonly words: readonly string[];
}

/** Compiled code even when the parent runs from TypeScript (under Jest), because a child has no compiler. */
const ENTRY = import.meta.filename.endsWith('.ts')
  ? path.resolve(import.meta.dirname, '../../../dist/libs/inspection/src/child/main.js')
  : path.join(import.meta.dirname, 'child/main.js');
const ROOT = path.resolve(path.dirname(ENTRY), '../../../../..');

/**
 * Returns the path of a feature's module, or null if it does not exist. From TypeScript (under Jest), the URL names a file that
 * only the compiled program has.
 */
export function modulePath(module: URL): string | null {
  const file = fileURLToPath(module);
  const compiled = path.join(ROOT, 'dist', path.relative(ROOT, file));
  return [file, compiled].find((found) => existsSync(found)) ?? null;
}

/** Only folders that an administrator controls: a PATH could name others. */
const SYSTEM_FOLDERS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin'];

/** Returns the path of an installed system program, or null. */
export function findProgram(name: string, folders: readonly string[] = SYSTEM_FOLDERS): string | null {
  const isExecutable = (file: string) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return folders.map((folder) => path.join(folder, name)).find(isExecutable) ?? null;
}

/**
 * Start of an unused range, between the users that systemd allocates and `nobody`, which owns files on many machines (in
 * this project, PostgreSQL's data).
 */
const FIRST_USER = 65_520;
const USERS = 14;
const USER = '{user}';
const NO_CAPABILITIES = ['--ambient-caps=-all', '--inh-caps=-all', '--bounding-set=-all'];
const PRIVILEGES = ['--no-new-privs', '--pdeathsig', 'KILL'];

/** `unshare --fork` keeps running as the parent of the first process in the namespace and must end with the worker, too. */
const OWN_PROCESSES = [
  ['setpriv', '--pdeathsig', 'KILL'],
  ['unshare', '--pid', '--fork', '--kill-child'],
];
const USER_NAMESPACE = ['unshare', '--user', '--map-current-user'];

/** From strong to weak; the first one that works is chosen. */
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

/** Memory that V8 and libvips map as data and never touch: 900 MB are needed to start. */
const UNTOUCHED_BYTES = 2 ** 30;
const OPEN_FILES = 256;

/**
 * Does not limit the number of processes, which the kernel counts per user on the whole machine, nor the address space,
 * of which WebAssembly reserves much.
 */
const limits = ({ cpuSeconds, memoryBytes }: LaunchOptions): Layer => ({
  gives: ['limits'],
  programs: [
    [
      'prlimit',
      `--data=${memoryBytes + UNTOUCHED_BYTES}`,
      // The soft limit sends SIGXCPU first, which identifies the reason.
      `--cpu=${Math.ceil(cpuSeconds)}:${Math.ceil(cpuSeconds) + 1}`,
      `--nofile=${OPEN_FILES}`,
      '--fsize=0',
      '--core=0',
    ],
  ],
});

/** The folders and files that a child must be able to read. */
function readableBy({ spoolFolder, readers, modules }: LaunchOptions) {
  const packages = path.join(ROOT, 'node_modules');
  return {
    folders: [...new Set([path.join(ROOT, 'dist'), packages, realpathSync(packages), spoolFolder])],
    files: [path.join(ROOT, 'package.json'), ...readers, ...modules],
  };
}

function permissions(options: LaunchOptions): Flags {
  const { folders, files } = readableBy(options);
  const readable = [...folders.map((folder) => `${folder}/*`), ...files];
  return {
    gives: ['file-permissions'],
    words: [
      '--permission',
      // sharp is a native addon.
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

/** The worker must not start because its children would read files as root. */
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
 * Finds the strongest isolation that this machine, user and installation allow. Creates the spool folder if it is
 * missing, because a user who cannot enter that folder is useless.
 * @param folders - the folders to search for util-linux programs
 * @throws RootRefused when this process is root and a child cannot run as another user
 * @throws Error when a child does not start even without isolation, or in time
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
      command: (slot) => words.map((word) => word.replace(USER, String(FIRST_USER + (slot % USERS)))),
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
        // A timeout shows that the machine is slow, not that it refuses the isolation.
        if (error.killed === true) throw new Error('An inspection process did not start in time.');
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
  const stages = [
    [{ gives: [], programs: view }],
    NAMESPACES,
    isRoot ? PRIVILEGE.slice(0, 1) : PRIVILEGE,
    [limits(options)],
  ].map((layers) => layers.flatMap(installed));
  const flags = permissions(options);
  const strongest = compose(
    stages.flatMap((layers) => layers.slice(0, 1)),
    flags,
  );
  if (await works(strongest)) return orRefuse(strongest);

  await check(compose([], NONE));
  const chosen: Layer[] = [];
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
