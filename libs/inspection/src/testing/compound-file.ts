const SECTOR = 512;
const UNIT = 64;
const CUTOFF = 4096;
const END = 0xfffffffe;
const FREE = 0xffffffff;
const TABLE = 0xfffffffd;

const sectorsOf = (bytes: number) => Math.ceil(bytes / SECTOR);
const padded = (bytes: Buffer, to: number) =>
  Buffer.concat([bytes, Buffer.alloc((to - (bytes.length % to)) % to)]);

function directoryEntry(name: string, type: number, sector: number, bytes: number): Buffer {
  const entry = Buffer.alloc(128);
  entry.write(name, 'utf16le');
  entry.writeUInt16LE(2 * name.length + 2, 64);
  entry[66] = type;
  entry.writeUInt32LE(sector, 116);
  entry.writeUInt32LE(bytes, 120);
  return entry;
}

/** Returns allocation table entries for a chain of `count` sectors that starts at `first`. */
const chainOf = (first: number, count: number) =>
  Array.from({ length: count }, (_, index) => (index === count - 1 ? END : first + index + 1));

/**
 * Builds a compound file with these streams by name ([MS-CFB], version 3), for tests. Its directory and allocation table
 * are at the end; the table limits it to about 7 MB.
 */
export function compoundFile(streams: Readonly<Record<string, Buffer>>): Buffer {
  const all = Object.entries(streams);
  const sectors: Buffer[] = [];
  const table: number[] = [];
  const add = (bytes: Buffer): number => {
    const first = table.length;
    const whole = padded(bytes, SECTOR);
    sectors.push(whole);
    table.push(...chainOf(first, sectorsOf(whole.length)));
    return whole.length === 0 ? END : first;
  };
  const entries: Buffer[] = [];
  const units: Buffer[] = [];
  const unitTable: number[] = [];
  for (const [name, content] of all) {
    if (content.length >= CUTOFF) entries.push(directoryEntry(name, 2, add(content), content.length));
    else {
      entries.push(directoryEntry(name, 2, unitTable.length, content.length));
      const whole = padded(content, UNIT);
      units.push(whole);
      unitTable.push(...chainOf(unitTable.length, whole.length / UNIT));
    }
  }
  const small = Buffer.concat(units);
  const root = directoryEntry('Root Entry', 5, add(small), small.length);
  const numbers = Buffer.alloc(4 * unitTable.length);
  unitTable.forEach((next, index) => numbers.writeUInt32LE(next, 4 * index));
  const unitTableAt = add(numbers);
  const directoryAt = add(Buffer.concat([root, ...entries]));
  let tableSectors = 1;
  while (4 * (table.length + tableSectors) > SECTOR * tableSectors) tableSectors++;
  const tableAt = table.length;
  for (let index = 0; index < tableSectors; index++) table.push(TABLE);
  const listed = Buffer.alloc(tableSectors * SECTOR, 0xff);
  table.forEach((next, index) => listed.writeUInt32LE(next, 4 * index));
  const header = Buffer.alloc(SECTOR);
  Buffer.from('d0cf11e0a1b11ae1', 'hex').copy(header);
  header.writeUInt16LE(0x3e, 24);
  header.writeUInt16LE(3, 26);
  header.writeUInt16LE(0xfffe, 28);
  header.writeUInt16LE(9, 30);
  header.writeUInt16LE(6, 32);
  header.writeUInt32LE(tableSectors, 44);
  header.writeUInt32LE(directoryAt, 48);
  header.writeUInt32LE(CUTOFF, 56);
  header.writeUInt32LE(unitTableAt, 60);
  header.writeUInt32LE(END, 68);
  for (let index = 0; index < 109; index++) {
    header.writeUInt32LE(index < tableSectors ? tableAt + index : FREE, 76 + 4 * index);
  }
  return Buffer.concat([header, ...sectors, listed]);
}

/** Builds a document that Office has encrypted: [MS-OFFCRYPTO] 2.3. */
export const encryptedOfficeDocument = (bytes = 20_000): Buffer =>
  compoundFile({
    EncryptionInfo: Buffer.from('04000400400000003c3f786d6c', 'hex'),
    EncryptedPackage: Buffer.alloc(bytes, 0xa5),
  });
