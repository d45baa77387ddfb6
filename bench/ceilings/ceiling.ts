import type { ChildProcess } from 'node:child_process';
import { forkProgram, messageOf } from '../child.ts';

/** A server in its own process that does the minimum work for a task. */
export class Ceiling implements Disposable {
  readonly origin: string;
  private readonly server: ChildProcess;

  private constructor(server: ChildProcess, port: number) {
    this.server = server;
    this.origin = `http://127.0.0.1:${port}`;
  }

  static async start(name: 'insert' | 'disk', env: NodeJS.ProcessEnv): Promise<Ceiling> {
    const server = forkProgram(`ceilings/${name}`, env);
    const { port } = await messageOf<{ port: number }>(server);
    return new Ceiling(server, port);
  }

  [Symbol.dispose](): void {
    this.server.disconnect();
  }
}
