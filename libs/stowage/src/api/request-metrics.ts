import type { ApolloServerPlugin } from '@apollo/server';
import { type DocumentNode, type FragmentDefinitionNode, Kind, type SelectionSetNode } from 'graphql';
import { Counter, Histogram, type Registry } from 'prom-client';

/** Labels of operations with several root fields, and of operations without a valid root field. */
const SEVERAL = 'several';
const INVALID = 'invalid';
const BUCKETS_SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/**
 * Counts and times operations by the name of their root field. Clients choose operation names freely, so these cannot
 * be labels.
 */
export function requestMetrics(registry: Registry): ApolloServerPlugin {
  const registers = [registry];
  const requests = new Counter({
    name: 'stowage_graphql_requests_total',
    help: 'Number of answered operations, by root field and code of the first error (or OK)',
    labelNames: ['operation', 'code'],
    registers,
  });
  const durations = new Histogram({
    name: 'stowage_graphql_request_duration_seconds',
    help: 'Duration of operations in seconds, by root field',
    labelNames: ['operation'],
    buckets: BUCKETS_SECONDS,
    registers,
  });
  return {
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
          requests.inc({ operation, code });
          durations.observe({ operation }, (performance.now() - started) / 1000);
          return Promise.resolve();
        },
      });
    },
  };
}

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
