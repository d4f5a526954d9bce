/** What is timed. */
export interface Workload {
  readonly name: string
  readonly unit: 'steps/s' | 'GFLOP/s' | 'GB/s'
  /** What one run does, in the unit times a second: 1 step, GFLOP, GB. */
  readonly work: number
  /** Timed once in a process that has done nothing before, from here to the end of the run. */
  readonly fresh?: true
  /** Builds everything on the default device and returns one run. */
  readonly prepare: (how: { readonly eager: boolean }) => () => void | Promise<void>
}
