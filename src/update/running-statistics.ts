/**
 * Whether a path is that of a normalization's running mean or variance, as PyTorch names them: what a sum with negative
 * weights must leave alone, because variances could become negative.
 */
export const isRunningStatistic = (path: string): boolean => /(^|\.)running_(mean|var)$/.test(path)
