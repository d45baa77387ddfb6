import { createCRC32, createSHA256 } from './hash-wasm.js';

/** Castagnoli's polynomial, bits reversed: https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4 */
const CRC32C = 0x82f63b78;

onmessage = async ({ data: file }) => {
  try {
    postMessage(await sumsOf(file, (bytes) => postMessage({ bytes })));
  } catch (error) {
    postMessage({ error: `The file cannot be read (${error.message})` });
  }
};

/** Reads the file once, chunk by chunk. */
async function sumsOf(file, onProgress) {
  const [sha256, crc32c] = await Promise.all([createSHA256(), createCRC32(CRC32C)]);
  const reader = file.stream().getReader();
  let bytes = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    sha256.update(value);
    crc32c.update(value);
    onProgress((bytes += value.length));
  }
  const sum = crc32c.digest('binary');
  return { checksumSha256: sha256.digest('hex'), crc32c: btoa(String.fromCharCode(...sum)) };
}
