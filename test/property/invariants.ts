import { contentKey } from '#libs/domain';
import { CONTENT } from '../support/world.js';
import { type AssetState, holds } from './model.js';
import type { AssetRow, Tables } from './observation.js';
import type { Inventory } from './inventory.js';
import { QUOTA } from './steps.js';

export class Violation extends Error {}

export function claim(holdsTrue: boolean, what: string, seen?: unknown): asserts holdsTrue {
  if (!holdsTrue) throw new Violation(seen === undefined ? what : `${what}: ${JSON.stringify(seen)}`);
}

/** What is always true between two effects, whatever happened before. */
export function checkInvariants({ assets, stored, quotas }: Tables, inventory: Inventory): void {
  const { content } = inventory;
  const open = assets.find(({ session, status }) => session && status !== 'PENDING');
  claim(open === undefined, 'a session outlives its reservation', open);
  const places = new Map(stored.map((object) => [object.id, object]));
  for (const object of stored) {
    const refs = assets.filter((asset) => asset.stored === object.id).length;
    claim(object.refs === refs, `the reference count is not ${refs}`, object);
  }
  for (const asset of assets.filter((each) => each.stored !== null)) {
    const object = places.get(asset.stored!);
    claim(object?.state === 'LIVE', 'an asset points at an object that is not LIVE', { asset, object });
    claim(object.sum === asset.sum, 'an asset points at other bytes', { asset, object });
    claim(
      asset.bucket === CONTENT && asset.key === object.key,
      'an asset is elsewhere than its object',
      asset,
    );
    const there = content.get(asset.key);
    claim(there !== undefined && there === object.version, 'a needed object is not there', { object, there });
    claim(inventory.sumAt(CONTENT, there) === asset.sum, 'other bytes are served', { asset, there });
  }
  const known = new Set(stored.map(({ key, sum }) => (key === contentKey(sum) ? key : null)));
  for (const [key, generation] of content) {
    if (known.has(key)) {
      inventory.strays.delete(key);
      continue;
    }
    // Its row was collected while a worker stood still before its copy, and then that worker died: the job comes again, stages
    // a row and writes the bytes over, unless the asset is given up.
    const isBeingMade = assets.some(
      ({ status, sum }) => (status === 'PROCESSING' || status === 'FAILED') && key === contentKey(sum),
    );
    claim(isBeingMade || inventory.strays.has(key), 'no row knows of an object', { key, generation });
    inventory.strays.add(key);
  }
  for (const quota of quotas) {
    claim(quota.usedBytes + quota.reservedBytes <= QUOTA.quotaBytes, 'bytes over the limit', quota);
    claim(quota.usedAssets + quota.reservedAssets <= QUOTA.quotaAssets, 'assets over the limit', quota);
  }
}

/** The counts of each owner are the sums of what the model says that the assets hold. */
export function checkQuota(
  { assets, quotas }: Tables,
  owners: readonly number[],
  stateOf: (id: string) => AssetState,
): void {
  for (const owner of owners) {
    const own = assets.filter((asset) => asset.owner === owner);
    const held = (what: 'used' | 'reserved') => own.filter(({ id }) => holds(stateOf(id)) === what);
    const bytes = (rows: readonly AssetRow[]) => rows.reduce((sum, { size }) => sum + size, 0);
    const [used, reserved] = [held('used'), held('reserved')];
    const expected = {
      owner,
      usedBytes: bytes(used),
      usedAssets: used.length,
      reservedBytes: bytes(reserved),
      reservedAssets: reserved.length,
    };
    const none = { owner, usedBytes: 0, usedAssets: 0, reservedBytes: 0, reservedAssets: 0 };
    const found = quotas.find((quota) => quota.owner === owner) ?? none;
    const same = (Object.keys(expected) as (keyof typeof expected)[]).every(
      (name) => found[name] === expected[name],
    );
    claim(same, 'the quota is not the sum', { expected, found });
  }
}
