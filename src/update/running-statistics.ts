/**
 * Whether a path is that of a normalization's running mean or variance, as PyTorch names them: what a sum with negative
 * weights must leave alone, because variances could become negative.
 */
export const isRunningStatistic = (path: string): boolean => /(^|\.)running_(mean|var)$/.test(path)

/** The path of the mean beside a running variance; undefined for other paths. */
export const meanOf = (path: string): string | undefined =>
  /(^|\.)running_var$/.test(path) ? path.replace(/var$/, 'mean') : undefined
