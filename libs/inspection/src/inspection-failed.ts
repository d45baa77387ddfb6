/**
 * A process that looked into a file ended, was ended, or could not get at the file: one attempt at one file. The message says
 * how (exit code, signal, deadline, memory), and nothing of the file.
 */
export class InspectionFailed extends Error {
  override name = 'InspectionFailed';
  /** Whether the reader used up its time: the same bytes would do so again. */
  readonly isExhausted: boolean;

  constructor(message: string, { isExhausted = false }: { isExhausted?: boolean } = {}) {
    super(message);
    this.isExhausted = isExhausted;
  }
}
