/** The daemon can't start, for a reason outside the deploy directory. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
