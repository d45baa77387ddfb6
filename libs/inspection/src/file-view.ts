import { statSync } from 'node:fs';
import path from 'node:path';

/**
 * Mounts an empty tmpfs that every user may enter over a folder, and bind-mounts the needed files and folders at their
 * old paths in it. Arguments: the folder, paths relative to the folder, `--`, the next command.
 */
const COVER_FOLDER = `set -e
PATH=/usr/bin:/bin:/usr/sbin:/sbin
umask 022
folder=$1
cd "$folder"
mount -t tmpfs -o mode=755,size=1m stowage "$folder"
while shift; [ "$1" != -- ]; do
  if [ -d "./$1" ]; then mkdir -p "$folder/$1"
  else mkdir -p "$(dirname "$folder/$1")"; : > "$folder/$1"
  fi
  mount -c --rbind "./$1" "$folder/$1"
done
shift
cd /
exec env -i "$@"`;

/**
 * Returns commands, each of which starts the next, that let other users read `files` (files or folders) at their own
 * paths although a parent folder is closed to them, as in a checkout in root's home. The commands create a mount
 * namespace, which requires root. Empty when no parent folder is closed.
 */
export function fileView(files: readonly string[]): string[][] {
  const byFolder = new Map<string, string[]>();
  for (const file of files) {
    const folder = closedFolderAbove(file);
    if (folder === null) continue;
    const shown = byFolder.get(folder) ?? [];
    if (!shown.some((other) => file === other || file.startsWith(`${other}/`))) shown.push(file);
    byFolder.set(folder, shown);
  }
  if (byFolder.size === 0) return [];
  const covers = [...byFolder].map(([folder, shown]) => [
    ...['sh', '-c', COVER_FOLDER, 'sh', folder],
    ...shown.map((file) => path.relative(folder, file)),
  ]);
  return [['unshare', '--mount', '--propagation', 'private'], ...covers];
}

/** Returns the highest parent folder that other users may not enter, or null. */
export function closedFolderAbove(file: string): string | null {
  const names = path.dirname(file).split(path.sep);
  const folders = names.map((_, at) => names.slice(0, at + 1).join(path.sep) || path.sep);
  return folders.find((folder) => (statSync(folder).mode & 0o001) === 0) ?? null;
}
