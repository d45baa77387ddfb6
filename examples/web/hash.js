/** Computes SHA-256 (hexadecimal) and CRC32C (base64) of a file in a worker, so that the page stays responsive. */
export function hash(file, { signal, onProgress }) {
  const worker = new Worker('hash-worker.js', { type: 'module' });
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    worker.onmessage = ({ data: { bytes, error, ...sums } }) => {
      if (error !== undefined) reject(new Error(error));
      else if (bytes !== undefined) onProgress(bytes);
      else resolve(sums);
    };
    worker.onerror = ({ message }) => reject(new Error(message || 'The hashing worker could not be started'));
    worker.postMessage(file);
  }).finally(() => worker.terminate());
}
