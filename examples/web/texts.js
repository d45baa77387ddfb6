/** Texts for the users of the page, without codes or media types. docs/api.md explains the codes. */
const PHASES = {
  QUEUED: 'Waiting for its turn',
  HASHING: 'Computing the checksum',
  REQUESTING: 'Requesting the upload',
  SENDING: 'Sending',
  CHECKING: 'Sent; being checked',
  PAUSED: 'Paused',
  NEEDS_FILE: 'Interrupted; choose the same file again to resume',
  CANCELLING: 'Cancelling',
  REJECTED: 'Not accepted',
  FAILED: 'Something went wrong on our side. Please try again later.',
  EXPIRED: 'The upload took too long; choose the file again',
  CANCELLED: 'Cancelled',
  DELETED: 'Deleted',
};

const KINDS = {
  IMAGE: 'Picture stored',
  AUDIO: 'Audio stored',
  VIDEO: 'Video stored',
  DOCUMENT: 'Document stored',
};

/** Reasons for a stored picture without preview, by variantsReason. */
const NO_PREVIEW = {
  DECODER_MISSING: 'no preview for pictures of this kind',
  UNSUPPORTED_LAYOUT: 'no preview for pictures stored in this way',
  TOO_MANY_PIXELS: 'too many pixels for a preview',
  TOO_LARGE: 'too large for a preview',
};

/** Reasons for a rejection, by statusReason.code. */
const REASONS = {
  CHECKSUM_MISMATCH: 'The file changed while it was uploaded. Please try again.',
  SIZE_MISMATCH: 'The file changed while it was uploaded. Please try again.',
  TYPE_MISMATCH: 'This file is not what its name says.',
  TYPE_NOT_ALLOWED: 'Files of this kind cannot be uploaded.',
  MALWARE: 'This file contains a virus and was not stored.',
  UNSCANNABLE: 'This file has a password, or is too large. Remove the password, and try again.',
  UNREADABLE: 'This file is damaged.',
  TOO_MANY_PIXELS: 'This picture is too large. Make it smaller, and try again.',
  TOO_COSTLY: 'This file is too complicated to be checked.',
};
const REFUSED = 'This file was not accepted.';

/** Problems by the reason of an error, or by its code. */
const PROBLEMS = {
  ...REASONS,
  FILENAME_INVALID: 'The file’s name cannot be used. Rename it, and try again.',
  SIZE_TOO_LARGE: 'This file is too large.',
  QUOTA_EXCEEDED: 'There is not enough room left for this file.',
  UNAUTHENTICATED: 'You are signed out. Sign in, and try again.',
  FORBIDDEN: 'You may not do this.',
};
const FAILURE = 'The upload failed.';

/** API messages are for developers, so unknown codes get a general text. Errors of this page are shown as they are. */
function textOfProblem({ reason, code, message }) {
  const text = PROBLEMS[reason] ?? PROBLEMS[code];
  return text ?? (code === undefined ? `The upload failed: ${message}` : FAILURE);
}

/** Describes the phase of an upload, and the reason for it. */
export function textOf({ phase, problem, asset }) {
  if (phase === 'RETRYING') return `${problem.message}; trying again soon`;
  if (phase === 'BROKEN') return textOfProblem(problem);
  if (phase === 'READY') {
    const stored = KINDS[asset.kind] ?? 'File stored';
    return asset.variantsReason ? `${stored}; ${NO_PREVIEW[asset.variantsReason] ?? 'no preview'}` : stored;
  }
  if (phase === 'REJECTED') return REASONS[asset.statusReason?.code] ?? REFUSED;
  return PHASES[phase] ?? PHASES.CHECKING;
}
