import { type ServerInterceptor, ServerInterceptingCall, status } from '@grpc/grpc-js';
import { loopbackHosts, sourceCheck } from '#libs/domain';

/**
 * Rejects calls with another Host than loopback's and these, and every call of a web page, with PERMISSION_DENIED.
 * @param allowedHosts values of Host, which HTTP/2 calls `:authority`
 */
export function admissionInterceptor(allowedHosts: readonly string[]): ServerInterceptor {
  let refusalOf: ReturnType<typeof sourceCheck> | undefined;
  return (_method, call) => {
    // When the system chose the port, it is known only from the first call.
    const { localPort = 0 } = call.getConnectionInfo();
    const check = (refusalOf ??= sourceCheck({ hosts: [...loopbackHosts(localPort), ...allowedHosts] }));
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            const textOf = (name: string) => metadata.get(name).map(String).join(', ') || undefined;
            const headers = {
              host: call.getHost(),
              origin: textOf('origin'),
              'sec-fetch-site': textOf('sec-fetch-site'),
            };
            const refusal = check({ method: 'POST', headers });
            if (refusal === null) pass(metadata);
            else call.sendStatus({ code: status.PERMISSION_DENIED, details: refusal.message });
          },
        }),
    });
  };
}
