import { FaultRules } from '../support/fault-rules.js';
import { Fleet, type FleetOptions } from '../support/fleet.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** A fleet with the means to hold its members at a step and to cut off their dependencies. */
export interface FaultyFleet extends AsyncDisposable {
  readonly fleet: Fleet;
  /** Proxy to the database, used by members that start with {@link behindProxy}. */
  readonly proxy: TcpProxy;
  readonly behindProxy: NodeJS.ProcessEnv;
  /** Fault rules of the fleet's storage emulator. */
  readonly faults: FaultRules;
}

export async function startFaultyFleet(options: FleetOptions): Promise<FaultyFleet> {
  const fleet = await Fleet.start(options);
  const proxy = await TcpProxy.start(new URL(fleet.database.url).host);
  return {
    fleet,
    proxy,
    behindProxy: { DATABASE_URL: proxy.urlOf(fleet.database.url) },
    faults: new FaultRules(fleet.emulators.gcs.url),
    [Symbol.asyncDispose]: async () => {
      await fleet[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}
