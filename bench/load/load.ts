import { forkProgram, messageOf } from '../child.ts';

export interface LoadRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Without one, the next of the assignment's is sent. */
  readonly body?: string;
}

export interface Assignment {
  readonly origin: string;
  readonly requests: readonly LoadRequest[];
  readonly bodies?: readonly Buffer[];
  readonly connections: number;
  /** For how long, all requests over and over; without it each is sent once. */
  readonly seconds?: number;
}

export interface Outcome {
  readonly answered: number;
  readonly seconds: number;
  /** The first answer that was not what it should be; nothing is sent after it. */
  readonly failure: string | null;
}

/** A load generator in a process of its own. */
export class Load implements Disposable {
  private readonly generator = forkProgram('load/generator');

  /**
   * Answers per second.
   * @throws Error when one of them was a failure
   */
  async rate(assignment: Assignment): Promise<number> {
    const outcome = messageOf<Outcome>(this.generator);
    this.generator.send(assignment);
    const { answered, seconds, failure } = await outcome;
    if (failure !== null) throw new Error(`${assignment.origin} answered: ${failure}`);
    return answered / seconds;
  }

  [Symbol.dispose](): void {
    this.generator.disconnect();
  }
}
