import type { ApolloServerPlugin } from '@apollo/server';
import { unwrapResolverError } from '@apollo/server/errors';
import { ApolloServerPluginCacheControlDisabled } from '@apollo/server/plugin/disabled';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { type DynamicModule, Injectable, Module, type Type } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { type GqlOptionsFactory, GraphQLModule } from '@nestjs/graphql';
import { GraphQLError, OperationTypeNode } from 'graphql';
import { PinoLogger } from 'nestjs-pino';
import { Registry } from 'prom-client';
import { AssetsGraphQLModule, DELETE_BATCH, UPDATE_BATCH } from '#libs/assets/graphql';
import { ContentGraphQLModule } from '#libs/content/graphql';
import { DeliveryGraphQLModule } from '#libs/delivery/graphql';
import { ERROR_KINDS, invalid } from '#libs/domain';
import {
  addInputPaths,
  batchItems,
  ErrorsFilter,
  formatGraphQLError,
  type GraphQLContext,
  logErrors,
  MAX_TOKENS,
  queryLimits,
  verifyLists,
} from '#libs/graphql';
import { IdentityModule } from '#libs/identity';
import { ActorGuard, IdentityGraphQLModule } from '#libs/identity/graphql';
import { LifecycleGraphQLModule } from '#libs/lifecycle/graphql';
import { ProcessingGraphQLModule } from '#libs/processing/graphql';
import { QuotaGraphQLModule } from '#libs/quota/graphql';
import { UPLOAD_BATCH, UploadGraphQLModule } from '#libs/upload/graphql';
import { CallerGuard } from './callers/caller.guard.js';
import { LeaseStore } from './callers/lease-store.js';
import { RateLimiter } from './callers/rate-limiter.js';
import { requestMetrics } from './request-metrics.js';
import { SubscriptionServer } from './subscriptions/subscription-server.js';
import { SubscriptionsModule } from './subscriptions/subscriptions.module.js';

/** Modules with the resolvers of the schema without features. The schema file is generated from them too. */
export const SCHEMA_MODULES = [
  IdentityGraphQLModule,
  ProcessingGraphQLModule,
  QuotaGraphQLModule,
  AssetsGraphQLModule,
  UploadGraphQLModule,
  DeliveryGraphQLModule,
  ContentGraphQLModule,
  LifecycleGraphQLModule,
];

/**
 * Rejects subscriptions over HTTP. Apollo would execute them like queries, without the guards, which run before
 * `subscribe`.
 */
const noSubscriptions: ApolloServerPlugin = {
  requestDidStart: () =>
    Promise.resolve({
      didResolveOperation: ({ operation }) => {
        if (operation?.operation !== OperationTypeNode.SUBSCRIPTION) return Promise.resolve();
        const message = 'Subscriptions are served over WebSocket only. Connect to the same path.';
        const originalError = invalid('SUBSCRIPTION_OVER_HTTP', message);
        throw new GraphQLError(message, { originalError, extensions: { http: { status: 400 } } });
      },
    }),
};

const inputPaths: ApolloServerPlugin = {
  requestDidStart: () =>
    Promise.resolve({
      didEncounterErrors: ({ errors, schema, document, request: { variables: variableValues } }) => {
        if (document !== undefined) addInputPaths(errors, { schema, document, variableValues });
        return Promise.resolve();
      },
    }),
};

@Injectable()
export class GraphQLOptions implements GqlOptionsFactory<ApolloDriverConfig> {
  constructor(
    private readonly logger: PinoLogger,
    private readonly registry: Registry,
    private readonly subscriptions: SubscriptionServer,
  ) {
    logger.setContext('GraphQL');
  }

  createGqlOptions(): ApolloDriverConfig {
    return {
      autoSchemaFile: true,
      sortSchema: true,
      transformSchema: verifyLists,
      // Apollo's own pages load scripts from other hosts; this API serves its playground from local files.
      graphiql: false,
      playground: false,
      introspection: true,
      csrfPrevention: true,
      allowBatchedHttpRequests: false,
      parseOptions: { maxTokens: MAX_TOKENS },
      validationRules: [queryLimits],
      context: (req: GraphQLContext['req']): GraphQLContext => ({ req }),
      formatError: (formatted, error) => formatGraphQLError(formatted, unwrapResolverError(error)),
      plugins: [
        this.errorLogging(),
        requestMetrics(this.registry),
        noSubscriptions,
        ...[UPLOAD_BATCH, UPDATE_BATCH, DELETE_BATCH].map(batchItems),
        inputPaths,
        this.subscriptionServer(),
        // The plugin would trace every field, although no response may be cached.
        ApolloServerPluginCacheControlDisabled(),
      ],
    };
  }

  /** Gives Apollo's schema to the subscription server, and drains it together with Apollo's own server. */
  private subscriptionServer(): ApolloServerPlugin {
    return {
      serverWillStart: ({ schema }) => {
        this.subscriptions.schema = schema;
        return Promise.resolve({ drainServer: () => this.subscriptions.close() });
      },
    };
  }

  /** Logs the errors of operations, and adds the request id to internal errors so that a client can quote it. */
  private errorLogging(): ApolloServerPlugin<GraphQLContext> {
    const { logger } = this;
    return {
      requestDidStart: () =>
        Promise.resolve({
          didEncounterErrors: ({ errors, contextValue }) => {
            logErrors(logger, errors, contextValue.req?.id);
            return Promise.resolve();
          },
          willSendResponse: ({ response, contextValue }) => {
            response.http.headers.set('cache-control', 'no-store');
            if (response.body.kind !== 'single') return Promise.resolve();
            for (const error of response.body.singleResult.errors ?? []) {
              if (error.extensions?.code === ERROR_KINDS.internal.graphql) {
                Object.assign(error.extensions, { requestId: contextValue.req?.id });
              }
            }
            return Promise.resolve();
          },
        }),
    };
  }
}

/** The GraphQL endpoint with the resolvers of the service and of its features. */
@Module({
  providers: [
    ActorGuard,
    LeaseStore,
    RateLimiter,
    { provide: APP_GUARD, useClass: CallerGuard },
    { provide: APP_FILTER, useClass: ErrorsFilter },
  ],
})
export class ApiGraphQLModule {
  /** @param features modules of features */
  static forFeatures(features: readonly (Type | DynamicModule)[]): DynamicModule {
    return {
      module: ApiGraphQLModule,
      imports: [
        GraphQLModule.forRootAsync<ApolloDriverConfig>({
          driver: ApolloDriver,
          imports: [SubscriptionsModule],
          useClass: GraphQLOptions,
        }),
        IdentityModule,
        ...SCHEMA_MODULES,
        ...features,
      ],
    };
  }
}
