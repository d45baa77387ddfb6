/** Why an encrypted file cannot be scanned, and how the client can fix that. */
export const ENCRYPTED = 'it is encrypted; remove its password and upload it again';
