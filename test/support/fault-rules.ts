import type { ActiveRule, FaultRule } from '#libs/gcp-emulator';
import { LIMIT_MS } from '../../libs/testing/src/until.js';

/** Client of the storage emulator's control API, by which tests inject faults and forge events. */
export class FaultRules {
  /** @param origin origin of the emulator */
  constructor(private readonly origin: string) {}

  /** Adds a rule and returns its id. If several rules match a request, the one that was added first applies. */
  async add(rule: FaultRule): Promise<string> {
    const { id } = (await (await this.ask('faults', 'POST', rule)).json()) as ActiveRule;
    return id;
  }

  /** Number of requests that the rule was applied to. */
  async hits(id: string): Promise<number> {
    const { rules } = (await (await this.ask('faults', 'GET')).json()) as { rules: ActiveRule[] };
    return rules.find((rule) => rule.id === id)?.hits ?? 0;
  }

  /** Removes all rules and releases the requests that they delay. */
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
    if (!response.ok) throw new Error(`The emulator answered ${response.status}: ${await response.text()}`);
    return response;
  }
}
