/** The answer, or the result of `tooLate` if the answer takes longer than `limitMs` milliseconds. */
export async function withinTime<T, Late>(
  answer: Promise<T>,
  limitMs: number,
  tooLate: () => Late,
): Promise<T | Late> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  try {
    return await Promise.race([answer, limit.then(tooLate)]);
  } finally {
    clearTimeout(timer);
  }
}
