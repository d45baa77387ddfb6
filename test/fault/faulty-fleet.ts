import { FaultDoor } from '../support/fault-door.js';
import { Fleet, type FleetOptions } from '../support/fleet.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** A fleet with what it takes to stop its members at a step, and to take away what they depend on. */
export interface FaultyFleet extends AsyncDisposable {
  readonly fleet: Fleet;
  /** In front of the database, for the members that get {@link behindProxy}. */
  readonly proxy: TcpProxy;
  readonly behindProxy: NodeJS.ProcessEnv;
  /** Of the storage that all of them use. */
  readonly door: FaultDoor;
}

export async function startFaultyFleet(options: FleetOptions): Promise<FaultyFleet> {
  const fleet = await Fleet.start(options);
  const proxy = await TcpProxy.start(new URL(fleet.database.url).host);
  return {
    fleet,
    proxy,
    behindProxy: { DATABASE_URL: proxy.urlOf(fleet.database.url) },
    door: new FaultDoor(fleet.emulators.gcs.url),
    [Symbol.asyncDispose]: async () => {
      await fleet[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}
