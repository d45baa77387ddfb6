import { sourceCheck } from '#libs/domain';
import type { AdmissionCheck } from '#libs/runtime';
import type { ApiEnvironment } from './config.js';

/** The check for requests and upgrades. Without `ALLOWED_HOSTS`, the API serves every request. */
export function admissionOf({ ALLOWED_HOSTS, CORS_ORIGINS }: ApiEnvironment): AdmissionCheck {
  if (ALLOWED_HOSTS === undefined) return () => null;
  return sourceCheck({ hosts: ALLOWED_HOSTS, origins: CORS_ORIGINS, hasPages: true });
}
