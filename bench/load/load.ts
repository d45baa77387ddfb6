import { forkProgram, messageOf } from '../child.ts';

export interface LoadRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Default: the next one of the assignment's bodies. */
  readonly body?: string;
}

export interface Assignment {
  readonly origin: string;
  readonly requests: readonly LoadRequest[];
  readonly bodies?: readonly Buffer[];
  readonly connections: number;
  /** Duration in which all requests are repeated. Without it each request is sent once. */
  readonly seconds?: number;
}

export interface Outcome {
  readonly answered: number;
  readonly seconds: number;
  /** Duration of the slowest answer in seconds. */
  readonly slowest: number;
  /** The first failed answer, after which no more requests are sent. */
  readonly failure: string | null;
}

/** Duration of answers in milliseconds. */
export interface Latency {
  readonly mean: number;
  readonly slowest: number;
}

/** A load generator in its own process. */
export class Load implements Disposable {
  private readonly generator = forkProgram('load/generator');

  /**
   * Returns the answers per second.
   * @throws Error if one of the answers is a failure
   */
  async rate(assignment: Assignment): Promise<number> {
    const { answered, seconds } = await this.run(assignment);
    return answered / seconds;
  }

  /** Returns the duration of answers. @throws Error if one of the answers is a failure */
  async latency(assignment: Assignment): Promise<Latency> {
    const { answered, seconds, slowest } = await this.run(assignment);
    return { mean: (1000 * seconds * assignment.connections) / answered, slowest: 1000 * slowest };
  }

  private async run(assignment: Assignment): Promise<Outcome> {
    const outcome = messageOf<Outcome>(this.generator);
    this.generator.send(assignment);
    const figures = await outcome;
    if (figures.failure !== null) throw new Error(`${assignment.origin} answered: ${figures.failure}`);
    return figures;
  }

  [Symbol.dispose](): void {
    this.generator.disconnect();
  }
}
