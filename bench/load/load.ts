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
  /** How long the slowest answer took, seconds. */
  readonly slowest: number;
  /** The first answer that was not what it should be; nothing is sent after it. */
  readonly failure: string | null;
}

/** How long answers took, milliseconds. */
export interface Latency {
  readonly mean: number;
  readonly slowest: number;
}

/** A load generator in a process of its own. */
export class Load implements Disposable {
  private readonly generator = forkProgram('load/generator');

  /**
   * Answers per second.
   * @throws Error when one of them was a failure
   */
  async rate(assignment: Assignment): Promise<number> {
    const { answered, seconds } = await this.run(assignment);
    return answered / seconds;
  }

  /** @throws Error when one of the answers was a failure */
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
