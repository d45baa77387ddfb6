import type { protos } from '@google-cloud/pubsub';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Dispatcher } from '../delivery/dispatcher.js';
import { readMessages } from './messages.js';
import { checkProject, pageOf } from '../names.js';
import type { Subscriptions } from '../store/subscriptions.js';
import { topicToWire } from '../store/topics.js';
import type { Topics } from '../store/topics.js';
import { unary } from './unary.js';

/** Dependencies of the two gRPC services. */
export interface ServiceParts {
  readonly topics: Topics;
  readonly subscriptions: Subscriptions;
  readonly dispatcher: Dispatcher;
  readonly onError: (error: unknown) => void;
}

/** The Publisher service. Calls of its other methods fail with UNIMPLEMENTED. */
export function publisherService(parts: ServiceParts): UntypedServiceImplementation {
  const { topics, subscriptions, dispatcher, onError } = parts;
  return {
    createTopic: unary(onError, (wire: protos.google.pubsub.v1.ITopic) => topicToWire(topics.create(wire))),

    getTopic: unary(onError, ({ topic }: protos.google.pubsub.v1.IGetTopicRequest) =>
      topicToWire(topics.get(topic)),
    ),

    updateTopic: unary(onError, (request: protos.google.pubsub.v1.IUpdateTopicRequest) =>
      topicToWire(topics.update(request)),
    ),

    deleteTopic: unary(onError, ({ topic }: protos.google.pubsub.v1.IDeleteTopicRequest) => {
      subscriptions.detachFrom(topics.delete(topic));
      return {};
    }),

    listTopics: unary(onError, (request: protos.google.pubsub.v1.IListTopicsRequest) => {
      const { items, nextPageToken } = pageOf(topics.ofProject(checkProject(request.project)), request);
      return { topics: items.map(topicToWire), nextPageToken };
    }),

    listTopicSubscriptions: unary(
      onError,
      (request: protos.google.pubsub.v1.IListTopicSubscriptionsRequest) => {
        const attached = subscriptions.ofTopic(topics.get(request.topic));
        const { items, nextPageToken } = pageOf(attached, request);
        return { subscriptions: items.map(({ name }) => name), nextPageToken };
      },
    ),

    publish: unary(onError, async ({ topic, messages }: protos.google.pubsub.v1.IPublishRequest) => {
      const ids = await dispatcher.publish(topics.get(topic), readMessages(messages ?? []));
      return { messageIds: ids.map(String) };
    }),
  };
}
