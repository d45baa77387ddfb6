import { sourceCheck } from '#libs/domain';
import type { AdmissionCheck } from '#libs/runtime';
import type { ApiEnvironment } from './config.js';

/** Which requests and upgrades the api serves: all of them unless `ALLOWED_HOSTS` is set. */
export function admissionOf({ ALLOWED_HOSTS, CORS_ORIGINS }: ApiEnvironment): AdmissionCheck {
  if (ALLOWED_HOSTS === undefined) return () => null;
  return sourceCheck({ hosts: ALLOWED_HOSTS, origins: CORS_ORIGINS, hasPages: true });
}
