/**
 * Uploads under way, so that a tab that was closed or crashed can go on. A record holds what was asked for, with the
 * idempotency key. No secret is kept: the server gives the session again to its owner. Records should go when the user signs
 * out.
 */
const PREFIX = 'stowage.upload.';
/** A session is good for so long. */
const LIFE_MS = 7 * 24 * 3600 * 1000;

const read = (name) => JSON.parse(localStorage.getItem(name));

/** The same file chosen again has the same, and so has hardly any other; the server compares the bytes. */
export const fingerprintOf = ({ name, size, lastModified }) => `${name}/${size}/${lastModified}`;

/** The one that is kept, or a new one. */
export function recordOf(file) {
  const { name, size } = file;
  const fingerprint = fingerprintOf(file);
  // One asset for each key, however often it is asked for.
  const fresh = { fingerprint, name, size, idempotencyKey: crypto.randomUUID(), createdAt: Date.now() };
  return read(PREFIX + fingerprint) ?? fresh;
}

export function keep(record) {
  localStorage.setItem(PREFIX + record.fingerprint, JSON.stringify(record));
}

export function forget({ fingerprint }) {
  localStorage.removeItem(PREFIX + fingerprint);
}

/** All that are not too old to go on; those that are, go. */
export function keptRecords() {
  const names = Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
  const records = names.map(read);
  const isAlive = ({ createdAt }) => Date.now() - createdAt < LIFE_MS;
  records.filter((record) => !isAlive(record)).forEach(forget);
  return records.filter(isAlive);
}
