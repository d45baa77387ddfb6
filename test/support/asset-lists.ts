import { expect } from '@jest/globals';
import type { Answer, TestApi } from '../../libs/testing/src/test-api.js';

const LIST = `query ($scope: AssetScope, $first: Int, $after: String, $last: Int, $before: String, $filter: AssetFilter,
    $orderBy: AssetOrder) {
  assets(scope: $scope, first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {
    nodes { id filename } edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`;

/** A page of the query `assets`. */
export interface AssetPage {
  readonly nodes: readonly { readonly id: string; readonly filename: string }[];
  readonly edges: readonly { readonly cursor: string; readonly node: { readonly id: string } }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}

/** Sends the query `assets` to an API, by default as one caller. */
export class AssetLists {
  constructor(
    private readonly api: () => TestApi,
    private readonly subject: string,
    private readonly claims: Record<string, unknown> = {},
  ) {}

  list(variables: object, subject = this.subject, claims = this.claims): Promise<Answer> {
    return this.api().query(LIST, variables, subject, claims);
  }

  async page(variables: object, subject?: string, claims?: Record<string, unknown>): Promise<AssetPage> {
    const { data, errors } = await this.list(variables, subject, claims);
    expect(errors).toBeUndefined();
    return data!.assets as AssetPage;
  }

  /** Reads all pages, from the first. */
  async forward(variables: object, subject?: string): Promise<AssetPage[]> {
    const pages: AssetPage[] = [];
    for (let after: string | null = null; ;) {
      const page: AssetPage = await this.page({ ...variables, after }, subject);
      pages.push(page);
      if (!page.pageInfo.hasNextPage) return pages;
      after = page.pageInfo.endCursor;
    }
  }

  /** Reads all pages, from the last. `variables` has a value for `last`. */
  async backward(variables: object, subject?: string): Promise<AssetPage[]> {
    const pages: AssetPage[] = [];
    for (let before: string | null = null; ;) {
      const page: AssetPage = await this.page({ ...variables, before }, subject);
      pages.push(page);
      if (!page.pageInfo.hasPreviousPage) return pages;
      before = page.pageInfo.startCursor;
    }
  }
}
