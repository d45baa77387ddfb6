import { Injectable, Module } from '@nestjs/common';
import {
  Args,
  ArgsType,
  Context,
  Field,
  ID,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { AssetLoader, AssetModel, AssetsGraphQLModule } from '#libs/assets/graphql';
import { type Actor, invalid } from '#libs/domain';
import {
  BatchLoader,
  Connection,
  connectionOf,
  cursorsOf,
  ForwardPageArgs,
  type GraphQLContext,
  MaxItems,
  parsePage,
} from '#libs/graphql';
import { actorOf } from '#libs/identity/graphql';
import { defineFeature } from '#libs/stowage';
import { type ParsedUploadRequest, UploadPolicy, type UploadPolicyHandler } from '#libs/upload';

interface Note {
  readonly id: bigint;
  readonly ownerId: bigint;
  readonly assetId: string;
  readonly text: string;
}

/** The notes of all owners, in memory. */
@Injectable()
export class NotesService {
  readonly notes: Note[] = [];
  /** Asset ids of each call of {@link about}. */
  readonly calls: (readonly string[])[] = [];

  list(ownerId: bigint, after: bigint, limit: number): Note[] {
    return this.notes.filter((note) => note.ownerId === ownerId && note.id > after).slice(0, limit);
  }

  about(actor: Actor, assetIds: readonly string[]): Promise<Map<string, Note[]>> {
    this.calls.push(assetIds);
    const own = this.notes.filter(
      ({ ownerId, assetId }) => ownerId === actor.ownerId && assetIds.includes(assetId),
    );
    return Promise.resolve(Map.groupBy(own, ({ assetId }) => assetId));
  }
}

@ObjectType('Note', { description: 'A text about an asset.' })
export class NoteModel {
  readonly assetId: string;

  @Field(() => ID, { description: 'Stable identifier of the note.' })
  id: string;

  @Field(() => String, { description: 'The text.' })
  text: string;

  constructor({ id, text, assetId }: Note) {
    Object.assign(this, { id: String(id), text, assetId });
  }
}

@ObjectType('NoteConnection', { description: 'A page of notes.' })
export class NoteConnection extends Connection(NoteModel) {}

@ArgsType()
export class NotesArgs extends ForwardPageArgs {
  @Field(() => String, { nullable: true, description: 'Not used.' })
  text?: string | null;
}

const CURSORS = cursorsOf('notes', { id: 'bigint' });

@Resolver(() => NoteModel)
export class NotesResolver {
  constructor(
    private readonly notes: NotesService,
    private readonly assets: AssetLoader,
  ) {}

  @Query(() => NoteConnection, { description: 'Notes of the caller.' })
  async notesOfViewer(@Args() args: NotesArgs, @Context() context: GraphQLContext): Promise<NoteConnection> {
    const page = parsePage(args);
    const after = CURSORS.positionOf(page)?.id ?? 0n;
    const { ownerId } = await actorOf(context);
    const rows = this.notes.list(ownerId, after, page.size + 1);
    return connectionOf(rows, page, CURSORS.encode, (note) => new NoteModel(note));
  }

  @ResolveField(() => AssetModel, { nullable: true, description: 'Null when the caller may not read it.' })
  asset(@Parent() { assetId }: NoteModel, @Context() context: GraphQLContext): Promise<AssetModel | null> {
    return this.assets.load(context, assetId);
  }
}

@Resolver(() => AssetModel)
export class AssetNotesResolver {
  private readonly loader = new BatchLoader<string, Note[]>(async (ids, context) =>
    this.service.about(await actorOf(context), ids),
  );

  constructor(private readonly service: NotesService) {}

  @MaxItems(10)
  @ResolveField(() => [NoteModel], { description: 'Notes of the caller about the asset, at most 10.' })
  async notes(@Parent() { id }: AssetModel, @Context() context: GraphQLContext): Promise<NoteModel[]> {
    return ((await this.loader.load(context, id)) ?? []).map((note) => new NoteModel(note));
  }
}

/** Refuses files of one name, and fails for another. */
@Injectable()
@UploadPolicy('notes.names')
export class NamesPolicy implements UploadPolicyHandler {
  check(_: Actor, { filename }: ParsedUploadRequest): void {
    if (filename === 'refused.txt') throw invalid('NOTES_NAME_REFUSED', 'Refused.', ['input', 'filename']);
    if (filename === 'bug.txt') throw new TypeError('a secret of the policy');
  }
}

@Module({
  imports: [AssetsGraphQLModule],
  providers: [NotesService, NotesResolver, AssetNotesResolver, NamesPolicy],
})
export class NotesModule {}

/** A small feature that uses the kit for resolvers and refuses uploads. */
export const notes = defineFeature({
  name: 'notes',
  compatibility: '*',
  api: () => Promise.resolve(NotesModule),
});
