import { hash } from 'node:crypto';
import { abortable } from '../abortable.js';
import { EICAR_MAX_BYTES, isEicar } from '../eicar.js';
import { Scanner, type ScannerIdentity, type ScanOptions, type Verdict } from '../scanner.js';

/** One entry of a list of malware hashes. */
export interface MalwareHash {
  /** In hex, lower case. */
  readonly sha256: string;
  readonly name?: string;
}

/** Reads the whole content. @returns its first `maxBytes` bytes */
async function readHead(content: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const head = Buffer.alloc(maxBytes);
  let headBytes = 0;
  for await (const chunk of content) {
    // The copy is needed because the content may reuse the chunk's memory after the next request.
    headBytes += chunk.copy(head, headBytes);
  }
  return head.subarray(0, headBytes);
}

/**
 * Scanner for installations without an antivirus: detects files by their SHA-256 on a list, and the EICAR test file. It
 * does not analyse content, and its label says so; `clean` means only that the hash is not on the list.
 */
export class SignatureListScanner extends Scanner {
  private readonly names: ReadonlyMap<string, string>;
  private readonly identity: ScannerIdentity;

  constructor(hashes: readonly MalwareHash[] = []) {
    super();
    this.names = new Map(hashes.map(({ sha256, name }) => [sha256, name ?? `SHA-256 ${sha256}`]));
    const entries = [...this.names].map((pair) => `${pair.join(' ')}\n`).sort();
    const version = hash('sha256', entries.join('')).slice(0, 12);
    this.identity = {
      label: `signature list (no antivirus), ${this.names.size} hashes, ${version}`,
      signaturesAt: null,
    };
  }

  override async scan(content: AsyncIterable<Buffer>, { sha256, signal }: ScanOptions): Promise<Verdict> {
    const head = await abortable(readHead(content, EICAR_MAX_BYTES + 1), signal);
    if (isEicar(head)) return { outcome: 'infected', signature: 'EICAR test file' };
    const signature = this.names.get(sha256());
    return signature === undefined ? { outcome: 'clean' } : { outcome: 'infected', signature };
  }

  override identify(): Promise<ScannerIdentity> {
    return Promise.resolve(this.identity);
  }

  override check(): Promise<void> {
    return Promise.resolve();
  }
}
