import { unavailable } from '#libs/domain';
import { type CallOptions, type SessionRequest, UploadSessions } from '#libs/storage';

/** The real upload sessions, with counters, outages and hooks for tests. */
export class ScriptedSessions extends UploadSessions {
  isDown = false;
  /** Runs before each call that ends a session. */
  beforeEnd: (url: string) => Promise<unknown> = () => Promise.resolve();
  /** Runs after storage has opened a session and before the caller gets it. */
  afterOpen: () => Promise<unknown> = () => Promise.resolve();
  readonly opened: { readonly url: string; readonly request: SessionRequest }[] = [];
  calls = 0;
  /** Maximum number of concurrent calls. */
  most = 0;
  private underWay = 0;

  constructor(private readonly real: UploadSessions) {
    super();
  }

  override open(request: SessionRequest, options?: CallOptions) {
    return this.counted(async () => {
      const session = await this.real.open(request, options);
      if (session !== null) this.opened.push({ url: session.url, request });
      await this.afterOpen();
      return session;
    });
  }

  override stateOf(url: string, options?: CallOptions) {
    return this.counted(() => this.real.stateOf(url, options));
  }

  override end(url: string, options?: CallOptions) {
    return this.counted(async () => {
      await this.beforeEnd(url);
      return this.real.end(url, options);
    });
  }

  private async counted<T>(call: () => Promise<T>): Promise<T> {
    this.calls += 1;
    this.most = Math.max(this.most, (this.underWay += 1));
    try {
      if (this.isDown) throw unavailable('STORAGE_UNAVAILABLE', 'Storage is not available.');
      return await call();
    } finally {
      this.underWay -= 1;
    }
  }
}
