import type { ApolloServerPlugin } from '@apollo/server';
import { type DocumentNode, type FragmentDefinitionNode, Kind, type SelectionSetNode } from 'graphql';
import type { RequestMetrics } from './request-metrics.js';

/** Labels of operations with several root fields, and of operations without a valid root field. */
const SEVERAL = 'several';
const INVALID = 'invalid';

/**
 * Counts and times operations by the name of their root field. Clients choose operation names freely, so these cannot
 * be labels.
 */
export const requestMetrics = (metrics: RequestMetrics): ApolloServerPlugin => ({
  requestDidStart() {
    const started = performance.now();
    let operation = INVALID;
    return Promise.resolve({
      // The document is validated at this point, so its names are those of the schema.
      didResolveOperation: ({ document, operation: resolved }) => {
        if (resolved === undefined) return Promise.resolve();
        const [name = INVALID, ...others] = rootFields(resolved.selectionSet, fragmentsOf(document));
        operation = others.length === 0 ? name : SEVERAL;
        return Promise.resolve();
      },
      willSendResponse: ({ response: { body } }) => {
        const error = body.kind === 'single' ? body.singleResult.errors?.[0] : undefined;
        const code = error === undefined ? 'OK' : String(error.extensions?.code);
        metrics.answered(operation, code, (performance.now() - started) / 1000);
        return Promise.resolve();
      },
    });
  },
});

type Fragments = Map<string, FragmentDefinitionNode>;

const fragmentsOf = ({ definitions }: DocumentNode): Fragments =>
  new Map(
    definitions.flatMap((each) => (each.kind === Kind.FRAGMENT_DEFINITION ? [[each.name.value, each]] : [])),
  );

/** Names of the root fields. Removes each visited fragment from `fragments`, so that no fragment is visited twice. */
function rootFields(set: SelectionSetNode, fragments: Fragments, names = new Set<string>()): Set<string> {
  for (const selection of set.selections) {
    if (selection.kind === Kind.FIELD) {
      names.add(selection.name.value);
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      rootFields(selection.selectionSet, fragments, names);
    } else {
      const used = fragments.get(selection.name.value);
      fragments.delete(selection.name.value);
      if (used !== undefined) rootFields(used.selectionSet, fragments, names);
    }
  }
  return names;
}
