/** Time for the queue's server to come back while workers finish their jobs during a shutdown. */
export const CLOSE_GRACE_MS = 2_000;

/** The answer, or undefined if it takes longer than the grace period. */
export async function withinGrace<T>(answer: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), CLOSE_GRACE_MS);
  });
  try {
    return await Promise.race([answer, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
