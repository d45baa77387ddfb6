import { type JWTPayload, SignJWT } from 'jose';
import { type Emulators, HMAC_KEY, NAMES, PROJECT, SESSION_KEY } from './emulators.js';

export const JWT = { secret: 'a secret of the suites, which is long enough', party: 'suite' };

/** Environment of an api or a worker that uses this database and these emulators. */
export const appEnvironment = (databaseUrl: string, emulators: Emulators): NodeJS.ProcessEnv => ({
  DATABASE_URL: databaseUrl,
  GOOGLE_CLOUD_PROJECT: PROJECT,
  GCS_API_ENDPOINT: emulators.gcs.url,
  GCS_HMAC_ACCESS_ID: HMAC_KEY.accessId,
  GCS_HMAC_SECRET: HMAC_KEY.secret,
  UPLOAD_SESSION_KEYS: SESSION_KEY,
  INCOMING_BUCKET: NAMES.incomingBucket,
  CONTENT_BUCKET: NAMES.contentBucket,
  QUARANTINE_BUCKET: NAMES.quarantineBucket,
  PUBSUB_EMULATOR_HOST: emulators.pubsubAddress,
  PUBSUB_SUBSCRIPTION: NAMES.subscription,
  JWT_SECRET: JWT.secret,
  JWT_ISSUER: JWT.party,
  JWT_AUDIENCE: JWT.party,
});

export const signJwt = (subject: string, claims: JWTPayload = {}, expires = '1h'): Promise<string> =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(JWT.party)
    .setAudience(JWT.party)
    .setSubject(subject)
    .setExpirationTime(expires)
    .sign(new TextEncoder().encode(JWT.secret));
