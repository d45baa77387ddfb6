import { contentKey } from '#libs/domain';
import { CONTENT } from '../../libs/testing/src/world.js';
import { type AssetState, holds } from './model.js';
import type { AssetRow, Tables } from './observation.js';
import type { Inventory } from './inventory.js';
import { QUOTA } from './steps.js';

export class Violation extends Error {}

export function claim(holdsTrue: boolean, what: string, seen?: unknown): asserts holdsTrue {
  if (!holdsTrue) throw new Violation(seen === undefined ? what : `${what}: ${JSON.stringify(seen)}`);
}

/** Checks the invariants that hold between any two effects. */
export function checkInvariants({ assets, stored, quotas, findings }: Tables, inventory: Inventory): void {
  const { content } = inventory;
  const open = assets.find(({ session, status }) => session && status !== 'PENDING');
  claim(open === undefined, 'a session outlives its reservation', open);
  const storedById = new Map(stored.map((object) => [object.id, object]));
  for (const object of stored) {
    const refs = assets.filter((asset) => asset.stored === object.id).length;
    claim(object.refs === refs, `the reference count is not ${refs}`, object);
  }
  for (const asset of assets.filter((each) => each.stored !== null)) {
    const object = storedById.get(asset.stored!);
    claim(object?.state === 'LIVE', 'an asset points at an object that is not LIVE', { asset, object });
    claim(object.sum === asset.sum, 'an asset points at other bytes', { asset, object });
    claim(
      asset.bucket === CONTENT && asset.key === object.key,
      'an asset and its object have different locations',
      asset,
    );
    const generation = content.get(asset.key);
    claim(generation !== undefined && generation === object.version, 'a referenced object is missing', {
      object,
      generation,
    });
    claim(inventory.sumAt(CONTENT, generation) === asset.sum, 'other bytes are served', {
      asset,
      generation,
    });
  }
  const known = new Set(stored.map(({ key, sum }) => (key === contentKey(sum) ? key : null)));
  for (const [key, generation] of content) {
    if (known.has(key)) {
      inventory.strays.delete(key);
      continue;
    }
    // The collector removed the row while a worker was paused before its copy, and then that worker died. The retried job
    // stages a row and overwrites the bytes, unless the asset has failed for good.
    const isBeingMade = assets.some(
      ({ status, sum }) => (status === 'PROCESSING' || status === 'FAILED') && key === contentKey(sum),
    );
    claim(isBeingMade || inventory.strays.has(key), 'an object has no row', { key, generation });
    inventory.strays.add(key);
  }
  // The test damages no object, so the tasks find only objects that crashes left.
  const finding = findings.find(({ problem, repaired }) => problem !== 'ORPHAN' || !repaired);
  claim(finding === undefined, 'an integrity task found a problem', finding);
  for (const quota of quotas) {
    claim(quota.usedBytes + quota.reservedBytes <= QUOTA.quotaBytes, 'bytes over the limit', quota);
    claim(quota.usedAssets + quota.reservedAssets <= QUOTA.quotaAssets, 'assets over the limit', quota);
  }
}

/** Checks that the counts of each owner are the sums over the assets of the model. */
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
    claim(same, 'the quota differs from the sum', { expected, found });
  }
}
