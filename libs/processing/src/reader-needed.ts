/** The file is one that a reader looks into, which the caller has excluded. */
export class ReaderNeeded extends Error {
  override readonly name = 'ReaderNeeded';
}
