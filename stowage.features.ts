import type { Feature } from '#libs/stowage';

/** The features of this installation, in the order in which their migrations are applied. */
const features: readonly Feature[] = [];

export default features;
