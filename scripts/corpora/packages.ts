import { execFile } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const TIMEOUT_MS = 600_000;
const SOURCES = '/etc/apt/sources.list.d/debian.sources';

/** Debian packages with files of many types from many authors. */
export const PACKAGES = [
  'clamav-testfiles',
  'debian-policy',
  'debian-reference-en',
  'desktop-base',
  'gimp-data',
  'gnome-backgrounds',
  'imagemagick-6-doc',
  'libimage-exiftool-perl',
  'libpython3.11-testsuite',
  'maint-guide',
  'sonic-pi-samples',
  'sound-theme-freedesktop',
] as const;
/** The source package of file(1): only the source contains its samples. */
export const SOURCE = 'file';

const apt = (args: readonly string[], cwd: string, command = 'apt-get') =>
  run(command, [...args], { cwd, timeout: TIMEOUT_MS, maxBuffer: 2 ** 26 });

const exists = (file: string) =>
  lstat(file).then(
    () => true,
    () => false,
  );

/** The file in a folder whose name has this start and end. @throws Error if there is none */
async function find(folder: string, start: string, end: string): Promise<string> {
  const name = (await readdir(folder)).find((entry) => entry.startsWith(start) && entry.endsWith(end));
  if (name === undefined) throw new Error(`${start}*${end} was not downloaded to ${folder}`);
  return path.join(folder, name);
}

/** URL of the Debian mirror that this machine uses. */
async function mirror(): Promise<string> {
  const text = await readFile(SOURCES, 'utf8').catch(() => '');
  const [, address] = /^URIs:\s*(\S+)/m.exec(text) ?? [];
  if (address === undefined)
    throw new Error(`Debian 12 or later is required: there is no mirror in ${SOURCES}`);
  return address;
}

async function unpackPackage(folder: string, name: string): Promise<string> {
  const to = path.join(folder, 'files', name);
  if (await exists(to)) return to;
  const downloads = path.join(folder, 'packages');
  await mkdir(downloads, { recursive: true });
  await apt(['download', name], downloads);
  await mkdir(to, { recursive: true });
  await apt(['--extract', await find(downloads, `${name}_`, '.deb'), to], folder, 'dpkg-deb');
  return to;
}

/** Uses its own package lists, so that it needs neither root nor `deb-src` entries on the machine. */
async function unpackSource(folder: string, name: string): Promise<string> {
  const to = path.join(folder, 'files', name);
  if (await exists(to)) return to;
  const downloads = path.join(folder, 'sources');
  const lists = path.join(downloads, 'lists');
  await mkdir(path.join(lists, 'partial'), { recursive: true });
  const list = path.join(downloads, 'sources.list');
  const { VERSION_CODENAME: release = 'stable' } = Object.fromEntries(
    (await readFile('/etc/os-release', 'utf8')).split('\n').map((line) => line.split('=')),
  ) as Record<string, string>;
  await writeFile(list, `deb-src ${await mirror()} ${release} main\n`);
  const own = [
    '-o',
    `Dir::Etc::sourcelist=${list}`,
    '-o',
    'Dir::Etc::sourceparts=-',
    '-o',
    `Dir::State::lists=${lists}`,
  ];
  await apt(['update', ...own], downloads);
  await apt(['source', '--download-only', ...own, name], downloads);
  await mkdir(to, { recursive: true });
  const archive = await find(downloads, `${name}_`, '.orig.tar.gz');
  await apt(
    ['--extract', '--gunzip', '--strip-components=1', '--file', archive, '--directory', to],
    folder,
    'tar',
  );
  return to;
}

/** The regular files of a package, which is downloaded and unpacked into the folder if it is missing. */
export async function filesOf(folder: string, name: string): Promise<string[]> {
  const root = name === SOURCE ? await unpackSource(folder, name) : await unpackPackage(folder, name);
  const within = name === SOURCE ? path.join(root, 'tests') : root;
  const entries = await readdir(within, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}
