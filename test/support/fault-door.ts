import type { ActiveRule, FaultRule } from '#libs/gcp-emulator';
import { LIMIT_MS } from './until.js';

/** The storage emulator's door for other programs on the machine: how a suite makes things go wrong. */
export class FaultDoor {
  /** @param origin of the emulator */
  constructor(private readonly origin: string) {}

  /** Returns the rule's id. Of several rules that match, the one added first strikes. */
  async add(rule: FaultRule): Promise<string> {
    const { id } = (await (await this.ask('faults', 'POST', rule)).json()) as ActiveRule;
    return id;
  }

  /** How often a rule has struck. */
  async hits(id: string): Promise<number> {
    const { rules } = (await (await this.ask('faults', 'GET')).json()) as { rules: ActiveRule[] };
    return rules.find((rule) => rule.id === id)?.hits ?? 0;
  }

  /** Removes all rules and lets go of all that they hold. */
  async clear(): Promise<void> {
    await this.ask('faults', 'DELETE');
  }

  /** Publishes a message as if storage had sent it. */
  async forge(topic: string, attributes: Record<string, string>, data = '{}'): Promise<void> {
    await this.ask('events', 'POST', { topic, attributes, data: Buffer.from(data).toString('base64') });
  }

  private async ask(path: string, method: string, body?: object): Promise<Response> {
    const response = await fetch(`${this.origin}/_emulator/${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    if (!response.ok)
      throw new Error(`The emulator's door answered ${response.status}: ${await response.text()}`);
    return response;
  }
}
