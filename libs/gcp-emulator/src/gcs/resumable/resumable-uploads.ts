import type { FileHandle } from 'node:fs/promises';
import { ApiError } from '../http/errors.js';
import type { ContentDigest } from '../store/digest.js';
import { ContentDigest as Digest } from '../store/digest.js';
import type { Session } from '../store/sessions.js';
import type { Store } from '../store/store.js';
import { checkBeforeUpload, checkContent, checkOf, type Digests } from '../uploads.js';
