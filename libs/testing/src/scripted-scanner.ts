import { unavailable } from '#libs/domain';
import { type ScanOptions, Scanner, type ScannerIdentity, type Verdict } from '#libs/scanner';

type Answer = Verdict | Error;

/** A scanner that reads the whole content and gives the verdict that a test has set for a text in it. */
export class ScriptedScanner extends Scanner {
  label = 'scripted 1';
  /** Verdicts and errors by a text that the content contains. Other content is clean. */
  readonly answers = new Map<string, Answer>();
  isDown = false;
  /** SHA-256 of all scanned contents, in order. */
  readonly scanned: string[] = [];

  override async scan(content: AsyncIterable<Buffer>, { sha256 }: ScanOptions): Promise<Verdict> {
    this.mustBeUp();
    const chunks: Buffer[] = [];
    for await (const chunk of content) chunks.push(Buffer.from(chunk));
    const bytes = Buffer.concat(chunks);
    this.scanned.push(sha256());
    const answer = [...this.answers].find(([text]) => bytes.includes(text))?.[1] ?? { outcome: 'clean' };
    if (answer instanceof Error) throw answer;
    return answer;
  }

  override identify(): Promise<ScannerIdentity> {
    this.mustBeUp();
    return Promise.resolve({ label: this.label, signaturesAt: null });
  }

  override check(): Promise<void> {
    this.mustBeUp();
    return Promise.resolve();
  }

  private mustBeUp(): void {
    if (this.isDown) throw unavailable('SCANNER_UNAVAILABLE', 'The scanner is not available.');
  }
}
