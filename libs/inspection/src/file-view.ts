import { statSync } from 'node:fs';
import path from 'node:path';

/** Covers a folder by an empty one that everybody may enter, and mounts what is needed at its old path in that. */
const COVER = `set -e
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
 * Programs, each of which starts the next, that let users read `files` and folders at their own paths although a folder above is closed
 * to them, as a clone in root's home is: in a mount namespace, which only root can make. Empty when no folder is closed.
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
    ...['sh', '-c', COVER, 'sh', folder],
    ...shown.map((file) => path.relative(folder, file)),
  ]);
  return [['unshare', '--mount', '--propagation', 'private'], ...covers];
}

/** The highest folder above that other users may not enter. */
export function closedFolderAbove(file: string): string | null {
  const names = path.dirname(file).split(path.sep);
  const folders = names.map((_, at) => names.slice(0, at + 1).join(path.sep) || path.sep);
  return folders.find((folder) => (statSync(folder).mode & 0o001) === 0) ?? null;
}
