import { expect, it } from '@jest/globals';
import { newAssetId } from './asset-id.js';

it('creates distinct ids that contain the time', () => {
  const now = new Date(Date.UTC(2031, 0, 1));
  const ids = Array.from({ length: 10_000 }, () => newAssetId(now));
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const time = now.getTime().toString(16).padStart(12, '0');
  expect(new Set(ids.map((id) => id.replace('-', '').slice(0, 12)))).toEqual(new Set([time]));
});
