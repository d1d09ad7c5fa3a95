import { findPackage } from './package-root.ts';

/** Of the package. */
export const VERSION: string = findPackage()?.version ?? '0.0.0';
