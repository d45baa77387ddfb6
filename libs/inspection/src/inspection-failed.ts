/**
 * One attempt to inspect one file failed: the process ended, was killed, or could not read the file. The message names
 * the cause (exit code, signal, deadline, memory) and contains nothing from the file.
 */
export class InspectionFailed extends Error {
  override name = 'InspectionFailed';
  /** Whether the reader used up its time; another attempt at the same bytes would do the same. */
  readonly isExhausted: boolean;

  constructor(message: string, { isExhausted = false }: { isExhausted?: boolean } = {}) {
    super(message);
    this.isExhausted = isExhausted;
  }
}

/** A process ended before it had received its task, which another process can run. */
export class TaskUndelivered extends Error {
  override name = 'TaskUndelivered';
}
