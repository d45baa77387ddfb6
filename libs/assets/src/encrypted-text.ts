import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Identifies algorithm and layout of an encrypted text, so that both can change. */
const SCHEME = 'a256gcm';

/**
 * Encrypts short texts for storage in the database, with AES-256-GCM and a random nonce.
 * The id of the row is authenticated with the text, so that a text moved to another row cannot be decrypted.
 * @see https://nvlpubs.nist.gov/nistpubs/Legacy/SP/nistspecialpublication800-38d.pdf
 */
export class EncryptedText {
  private readonly keys: readonly Buffer[];

  /**
   * @param keys 64 hex digits each; the first key encrypts, all keys decrypt
   * @throws TypeError for a key that is not 64 hex digits, or without any key
   */
  constructor(keys: readonly string[]) {
    this.keys = keys.map((key) => Buffer.from(key, 'hex'));
    if (this.keys.length === 0 || this.keys.some(({ length }) => length !== 32)) {
      throw new TypeError('Keys must be given as 64 hex digits each');
    }
  }

  seal(id: string, text: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.keys[0]!, nonce).setAAD(Buffer.from(id));
    const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `${SCHEME}:${sealed.toString('base64url')}`;
  }

  /** @returns null when no key decrypts the text, the text was changed, or it belongs to another id */
  open(id: string, sealed: string): string | null {
    const [scheme, data = ''] = sealed.split(':');
    const bytes = Buffer.from(data, 'base64url');
    if (scheme !== SCHEME || bytes.length < NONCE_BYTES + TAG_BYTES) return null;
    for (const key of this.keys) {
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(id)).setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
        return Buffer.concat([text, decipher.final()]).toString('utf8');
      } catch {
        // Authentication failed: try the next key.
      }
    }
    return null;
  }
}
