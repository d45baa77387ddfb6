import { describe, expect, it } from '@jest/globals';
import { ASSET_STATUSES, type AssetStatus, type Permission } from '#libs/domain';
import {
  type AccessTarget,
  dependsOnShares,
  type GrantedPermission,
  may,
  permissionsOf,
  permittedUntil,
  readableUntil,
} from './permissions.js';

const SOON = new Date('2100-01-01T00:00:00Z');
const LATER = new Date('2100-01-02T00:00:00Z');
const READER = { ownerId: 7n, isAdmin: false };
const OWNER = { ownerId: 42n, isAdmin: false };
const OPERATOR = { ownerId: 7n, isAdmin: true };

const grant = (permission: Permission, until: Date | null = null, byShare = false): GrantedPermission => ({
  permission,
  until,
  byShare,
});
const asset = (granted: readonly GrantedPermission[] = [], status: AssetStatus = 'READY'): AccessTarget => ({
  ownerId: 42n,
  status,
  granted,
});

describe('the access decision', () => {
  it.each(ASSET_STATUSES)('gives owners and operators everything for ever in %s', (status) => {
    for (const caller of [OWNER, OPERATOR]) {
      const target = asset([grant('READ', SOON)], status);
      expect(permissionsOf(caller, target)).toEqual(['READ', 'WRITE', 'DELETE']);
      expect(readableUntil(caller, target)).toBe(Infinity);
    }
  });

  it.each<[string, GrantedPermission[], Permission[]]>([
    ['nothing', [], []],
    ['READ', [grant('READ')], ['READ']],
    ['WRITE', [grant('WRITE')], ['READ', 'WRITE']],
    ['DELETE', [grant('DELETE')], ['READ', 'DELETE']],
    ['WRITE and DELETE', [grant('WRITE'), grant('DELETE')], ['READ', 'WRITE', 'DELETE']],
    ['READ by a share', [grant('READ', null, true)], ['READ']],
  ])('with a grant of %s', (_, granted, permissions) => {
    for (const status of ASSET_STATUSES.filter((status) => status !== 'DELETED')) {
      expect(permissionsOf(READER, asset(granted, status))).toEqual(permissions);
    }
  });

  it.each<[string, GrantedPermission[], Permission[]]>([
    ['nothing', [], []],
    ['READ', [grant('READ')], []],
    ['WRITE', [grant('WRITE')], []],
    ['DELETE', [grant('DELETE')], ['READ', 'DELETE']],
    ['WRITE and DELETE', [grant('WRITE'), grant('DELETE')], ['READ', 'WRITE', 'DELETE']],
    ['READ by a share', [grant('READ', null, true)], []],
  ])('hides a deleted asset except from those who may delete it: %s', (_, granted, permissions) => {
    expect(permissionsOf(READER, asset(granted, 'DELETED'))).toEqual(permissions);
  });

  it.each<[string, Permission, GrantedPermission[], AssetStatus, number]>([
    ['no grant', 'READ', [], 'READY', -Infinity],
    ['another permission', 'WRITE', [grant('READ')], 'READY', -Infinity],
    ['a grant without an end', 'READ', [grant('READ', SOON), grant('WRITE')], 'READY', Infinity],
    ['two ends', 'READ', [grant('WRITE', SOON), grant('READ', LATER)], 'READY', LATER.getTime()],
    ['READ that ends before WRITE', 'WRITE', [grant('READ', SOON), grant('WRITE', LATER)], 'READY', +LATER],
    ['a share', 'READ', [grant('READ', SOON), grant('READ', LATER, true)], 'READY', LATER.getTime()],
    ['DELETE that ends', 'READ', [grant('READ'), grant('DELETE', SOON)], 'DELETED', SOON.getTime()],
    ['WRITE with DELETE that ends', 'WRITE', [grant('WRITE'), grant('DELETE', SOON)], 'DELETED', +SOON],
  ])('ends with the last grant: %s', (_, permission, granted, status, expected) => {
    const target = asset(granted, status);
    expect(permittedUntil(READER, permission, target)).toBe(expected);
    expect(may(READER, permission, target)).toBe(expected !== -Infinity);
  });

  it.each<[string, GrantedPermission[], boolean]>([
    ['no grant', [], false],
    ['a grant', [grant('READ', SOON)], false],
    ['a share', [grant('READ', null, true)], true],
    ['a share that outlasts a grant', [grant('READ', SOON), grant('READ', LATER, true)], true],
    ['a grant that outlasts a share', [grant('WRITE', LATER), grant('READ', SOON, true)], false],
  ])('depends on shares: %s', (_, granted, expected) => {
    expect(dependsOnShares(READER, asset(granted))).toBe(expected);
    expect(dependsOnShares(OWNER, asset(granted))).toBe(false);
  });
});
