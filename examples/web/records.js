/**
 * Records of uploads in progress, by which a tab that was closed or crashed can resume. A record holds the input of the
 * request with its idempotency key, but no secret: the API returns the session to its owner again. Delete records when the
 * user signs out.
 */
const PREFIX = 'stowage.upload.';
/** Lifetime of an upload session. */
const LIFE_MS = 7 * 24 * 3600 * 1000;

const read = (name) => JSON.parse(localStorage.getItem(name));

/** Identifies a file when the user chooses it again. Few files share a fingerprint, and the server compares the bytes. */
export const fingerprintOf = ({ name, size, lastModified }) => `${name}/${size}/${lastModified}`;

/** Returns the kept record of a file, or a new one. */
export function recordOf(file) {
  const { name, size } = file;
  const fingerprint = fingerprintOf(file);
  // Repeated requests with one idempotency key create one asset.
  const fresh = { fingerprint, name, size, idempotencyKey: crypto.randomUUID(), createdAt: Date.now() };
  return read(PREFIX + fingerprint) ?? fresh;
}

export function keep(record) {
  localStorage.setItem(PREFIX + record.fingerprint, JSON.stringify(record));
}

export function forget({ fingerprint }) {
  localStorage.removeItem(PREFIX + fingerprint);
}

/** Returns all records that can still resume, and deletes older ones. */
export function keptRecords() {
  const names = Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
  const records = names.map(read);
  const isAlive = ({ createdAt }) => Date.now() - createdAt < LIFE_MS;
  records.filter((record) => !isAlive(record)).forEach(forget);
  return records.filter(isAlive);
}
