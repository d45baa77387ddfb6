/** Why an encrypted file is opaque, and what its sender can do. */
export const ENCRYPTED = 'it is encrypted; remove its password and upload it again';
