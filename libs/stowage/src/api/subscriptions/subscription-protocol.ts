import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import {
  type DocumentNode,
  type ExecutionArgs,
  getOperationAST,
  GraphQLError,
  type GraphQLFormattedError,
  type GraphQLSchema,
  OperationTypeNode,
  parse,
  specifiedRules,
  validate,
} from 'graphql';
import { CloseCode, type Context, type ServerOptions, type SubscribePayload } from 'graphql-ws';
import type { PinoLogger } from 'nestjs-pino';
import { ERROR_KINDS, invalid, StowageError } from '#libs/domain';
import {
  addInputPaths,
  formatServerError,
  type GraphQLContext,
  logErrors,
  MAX_TOKENS,
  queryLimits,
} from '#libs/graphql';
import { headerOf, type IdentityService } from '#libs/identity';
import type { Connection, OwnerSockets } from './owner-sockets.js';

/** Maximum number of open subscriptions on one socket. */
const MAX_SUBSCRIPTIONS = 100;
/**
 * Close code that asks the client to retry later; registered after https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1.
 */
const TRY_AGAIN_LATER = 1013;
/**
 * Headers that browsers cannot set on a WebSocket. Clients send them by these names in the payload of `connection_init`.
 */
const HEADERS = new Set(['authorization', 'x-stowage-on-behalf-of']);

interface ProtocolParts {
  readonly schema: () => GraphQLSchema;
  readonly identity: IdentityService;
  readonly sockets: OwnerSockets;
  readonly logger: PinoLogger;
}

type SocketContext = Context<Record<string, unknown>, Connection>;

/** Keeps invalid values, which fail later: without its delegation header, a service would act as itself. */
function headersOf({ connectionParams }: SocketContext): IncomingHttpHeaders {
  const named = Object.entries(connectionParams ?? {}).map(
    ([name, value]) => [name.toLowerCase(), value] as const,
  );
  return Object.fromEntries(
    named
      .filter(([name, value]) => HEADERS.has(name) && value !== null)
      .map(([name, value]) => [name, headerOf(value)]),
  );
}

const RULES = [...specifiedRules, queryLimits];

/** The arguments for `subscribe`, or the errors of the operation. */
function operationOf(
  schema: GraphQLSchema,
  { query, operationName, variables }: SubscribePayload,
): Omit<ExecutionArgs, 'contextValue'> | readonly GraphQLError[] {
  let document: DocumentNode;
  try {
    document = parse(query, { maxTokens: MAX_TOKENS });
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    const { message, source, positions } = error;
    return [new GraphQLError(message, { source, positions, extensions: { code: 'GRAPHQL_PARSE_FAILED' } })];
  }
  const errors = validate(schema, document, RULES);
  addInputPaths(errors, { schema, document });
  if (errors.length > 0) return errors.map(ofValidation);
  if (getOperationAST(document, operationName)?.operation !== OperationTypeNode.SUBSCRIPTION) {
    return [
      refusal(
        'SUBSCRIPTIONS_ONLY',
        'Only subscriptions are served over WebSocket. Send other operations by HTTP POST.',
      ),
    ];
  }
  return { schema, document, operationName, variableValues: variables };
}

const ofValidation = ({ message, nodes, originalError, extensions }: GraphQLError) =>
  new GraphQLError(message, {
    nodes,
    originalError,
    extensions: { code: 'GRAPHQL_VALIDATION_FAILED', ...extensions },
  });

const refusal = (reason: string, message: string) =>
  new GraphQLError(message, { originalError: invalid(reason, message) });

/**
 * GraphQL over WebSocket by the protocol `graphql-transport-ws`
 * (https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverWebSocket.md), for subscriptions only. The
 * token is verified when the socket is opened, and again for each subscription.
 */
export function subscriptionProtocol({
  schema,
  identity,
  sockets,
  logger,
}: ProtocolParts): ServerOptions<Record<string, unknown>, Connection> {
  const format = (errors: readonly GraphQLError[], requestId?: string): GraphQLFormattedError[] => {
    logErrors(logger, errors, requestId, 'subscription');
    return errors.map((error) => {
      const shown = formatServerError(error);
      if (shown.extensions?.code !== ERROR_KINDS.internal.graphql) return shown;
      return { ...shown, extensions: { ...shown.extensions, requestId } };
    });
  };
  return {
    onConnect: async (context) => {
      const { socket } = context.extra;
      context.extra.count = () => Object.keys(context.subscriptions).length;
      try {
        const actor = await identity.authenticate(headersOf(context));
        if (sockets.admit(context.extra, actor)) return true;
        socket.close(CloseCode.TooManyInitialisationRequests, 'Too many sockets');
      } catch (err) {
        if (err instanceof StowageError && err.kind !== 'unavailable') {
          socket.close(CloseCode.Unauthorized, err.reason);
        } else {
          logger.error({ err }, 'socket open failed');
          socket.close(TRY_AGAIN_LATER, 'Try again later');
        }
      }
      return false;
    },
    onSubscribe: (context, _id, payload) => {
      if (Object.keys(context.subscriptions).length > MAX_SUBSCRIPTIONS) {
        return [
          refusal(
            'TOO_MANY_SUBSCRIPTIONS',
            `A socket may have at most ${MAX_SUBSCRIPTIONS} subscriptions. Open another socket.`,
          ),
        ];
      }
      if (!sockets.canSubscribe(context.extra)) {
        const message = `All your sockets together may have at most ${sockets.maxSubscriptions} subscriptions. End one first.`;
        return [refusal('TOO_MANY_SUBSCRIPTIONS', message)];
      }
      const operation = operationOf(schema(), payload);
      if (Array.isArray(operation)) return operation as readonly GraphQLError[];
      const contextValue: GraphQLContext = { req: { id: randomUUID(), headers: headersOf(context) } };
      return { ...(operation as ExecutionArgs), contextValue };
    },
    onError: (_context, _id, _payload, errors) => format(errors),
    onNext: (_context, _id, _payload, args, { data, errors }) => {
      if (errors === undefined) return undefined;
      addInputPaths(errors, args);
      const { req } = args.contextValue as GraphQLContext;
      return { data, errors: format(errors, req.id) };
    },
  };
}
