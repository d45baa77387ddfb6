import type { Type } from '@nestjs/common';
import { Field, ObjectType, TypeMetadataStorage } from '@nestjs/graphql';
import { PageItems } from './list-sizes.js';
import type { PageRequest } from './paging.js';

@ObjectType({ description: 'Position of a page in its list.' })
export class PageInfo {
  @Field(() => Boolean, { description: 'Whether entries follow this page.' })
  hasNextPage: boolean;

  @Field(() => Boolean, { description: 'Whether entries precede this page.' })
  hasPreviousPage: boolean;

  @Field(() => String, {
    nullable: true,
    description:
      'Cursor of the first edge. On an empty page: null, or the cursor from which the list continues backward.',
  })
  startCursor: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Cursor of the last edge. On an empty page: null, or the cursor from which the list continues forward.',
  })
  endCursor: string | null;
}

/** An entry of a {@link Connection}. */
export interface Edge<Node> {
  readonly cursor: string;
  readonly node: Node;
}

/** A page of a list with cursors, as in https://relay.dev/graphql/connections.htm */
export interface Connection<Node> {
  readonly edges: Edge<Node>[];
  readonly nodes: Node[];
  readonly pageInfo: PageInfo;
}

/** All connections of one node type have edges of one type. */
const edgeTypes = new Map<Type, Type<Edge<unknown>>>();

function edgeTypeOf(node: Type): Type<Edge<unknown>> {
  const known = edgeTypes.get(node);
  if (known !== undefined) return known;
  const name = TypeMetadataStorage.getObjectTypeMetadataByTarget(node)?.name;
  if (name === undefined) throw new Error(`A connection needs an object type, which ${node.name} is not.`);

  @ObjectType(`${name}Edge`, { description: 'An entry of a list and its cursor.' })
  class EdgeType implements Edge<unknown> {
    @Field(() => String, { description: 'Opaque cursor, valid only for this list in this order.' })
    cursor: string;

    @Field(() => node, { description: 'The entry.' })
    node: unknown;
  }
  edgeTypes.set(node, EdgeType);
  return EdgeType;
}

/**
 * Creates the base class of a connection type, with edges of the type `<node>Edge`. A field that returns the connection needs
 * paging arguments: {@link ForwardPageArgs} or {@link PageArgs}.
 * @param node class of an object type
 * @throws Error if the class is not an object type
 * @example
 * @ObjectType('AlbumConnection', { description: 'A page of albums.' })
 * export class AlbumConnection extends Connection(AlbumModel) {}
 */
export function Connection<Node extends object>(node: Type<Node>): Type<Connection<Node>> {
  const edge = edgeTypeOf(node);

  @ObjectType({ isAbstract: true })
  class ConnectionType {
    @PageItems()
    @Field(() => [edge], { description: 'The entries of this page with their cursors.' })
    edges: Edge<Node>[];

    @PageItems()
    @Field(() => [node], { description: 'The entries of this page.' })
    nodes: Node[];

    @Field(() => PageInfo, { description: 'Whether the list continues, and from which cursors.' })
    pageInfo: PageInfo;
  }
  return ConnectionType;
}

/**
 * Builds a connection from rows in reading order of the page. The caller reads one row more than the page size, so that
 * the connection knows whether the list continues.
 * @param rows at most one row more than the page size, in the reading direction of the page
 * @param cursorOf returns the cursor of a row
 * @param nodeOf returns the node of a row
 * @example
 * const page = parsePage(args);
 * const rows = await this.albums.list(ALBUM_CURSORS.positionOf(page), page.size + 1);
 * return connectionOf(rows, page, ALBUM_CURSORS.encode, (album) => new AlbumModel(album));
 */
export function connectionOf<Row, Node>(
  rows: readonly Row[],
  page: PageRequest,
  cursorOf: (row: Row) => string,
  nodeOf: (row: Row) => Node,
): Connection<Node> {
  const more = rows.length > page.size;
  const shown = rows.slice(0, page.size);
  if (page.backward) shown.reverse();
  const edges = shown.map((row) => ({
    node: nodeOf(row),
    // Most operations select the nodes only.
    get cursor() {
      return cursorOf(row);
    },
  }));
  return {
    edges,
    nodes: edges.map(({ node }) => node),
    pageInfo: {
      hasNextPage: page.backward ? page.cursor !== null : more,
      hasPreviousPage: page.backward ? more : page.cursor !== null,
      startCursor: edges.at(0)?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}
