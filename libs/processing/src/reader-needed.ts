/** The file needs a reader (a parser in a child process), and the caller has excluded those. */
export class ReaderNeeded extends Error {
  override readonly name = 'ReaderNeeded';
}
