import { type DynamicModule, Inject, Module, type Type } from '@nestjs/common';
import { AccessModule, PrincipalSource, type PrincipalSourceOptions } from '#libs/access';
import { Database } from '#libs/database';
import { defineFeature, type Feature } from '#libs/stowage';

/** A feature with one principal source. Its table is created by this statement before any module starts. */
export interface SharesOptions {
  readonly table: string;
  readonly sources: readonly PrincipalSourceOptions[];
}

export const FOLDERS: PrincipalSourceOptions = {
  prefix: 'folders',
  table: 'folder_shares',
  id: 'folder_id',
  principal: 'principal',
  expiresAt: 'expires_at',
};
export const FOLDER_SHARES: SharesOptions = {
  table: `create table folder_shares (folder_id bigint, principal text, expires_at timestamptz,
    primary key (folder_id, principal))`,
  sources: [FOLDERS],
};

/** Rooms have ids of type uuid, and shares without an end. */
export const ROOM_SHARES: SharesOptions = {
  table: `create table room_members (room uuid, member varchar(256), primary key (member, room))`,
  sources: [{ prefix: 'rooms', table: 'room_members', id: 'room', idType: 'uuid', principal: 'member' }],
};

@Module({})
class SharesModule {}

const TABLE = Symbol('table');

/** A new class for each source, as the repositories of several features are. */
function repositoryOf(options: PrincipalSourceOptions): Type {
  @PrincipalSource(options)
  class SharesRepository {
    constructor(@Inject(TABLE) readonly table: unknown) {}
  }
  return SharesRepository;
}

const moduleOf = ({ table, sources }: SharesOptions): DynamicModule => ({
  module: SharesModule,
  imports: [AccessModule],
  providers: [
    { provide: TABLE, inject: [Database], useFactory: (database: Database) => database.pool.query(table) },
    ...sources.map(repositoryOf),
  ],
});

export const sharesFeature = (options: SharesOptions): Feature =>
  defineFeature({
    name: 'shares',
    compatibility: '*',
    api: () => Promise.resolve(moduleOf(options)),
  });
