import { sourceCheck } from '#libs/domain';
import type { AdmissionCheck } from '#libs/runtime';
import type { HttpConfig } from './http.config.js';

/** The check for requests and upgrades. Without allowed hosts, the API serves every request. */
export function admissionOf({ allowedHosts, corsOrigins }: HttpConfig): AdmissionCheck {
  if (allowedHosts === undefined) return () => null;
  return sourceCheck({ hosts: allowedHosts, origins: corsOrigins, hasPages: true });
}
