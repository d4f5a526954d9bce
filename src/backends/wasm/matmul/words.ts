/** Where the argument block of a product holds what: positions of 32-bit words. Strides are in bytes. */
export const words = {
  a: 0,
  b: 1,
  output: 2,
  /** Workspace of thread 0; the others' follow `workBytes` apart. */
  work: 3,
  workBytes: 4,
  m: 5,
  n: 6,
  k: 7,
  aRow: 8,
  aColumn: 9,
  bRow: 10,
  bColumn: 11,
  outputRow: 12,
  outputColumn: 13,
  packA: 14,
  packB: 15,
  /** Longest stretch of k, m and n worked on at a time. */
  kBlock: 16,
  mBlock: 17,
  nBlock: 18,
  /** 1: threads share rows, 0: columns. */
  splitRows: 19,
  /** Tiles along the shared axis in one product, and in all of the batch. */
  units: 20,
  allUnits: 21,
  /** 1: row by row, with B transposed in registers; nothing is packed then. */
  rowByRow: 22,
  /** What is called on finished elements: a position in the table, or 0, and the distance to its block. */
  call: 23,
  callBlock: 24,
  /** Columns of the output after which it is called. */
  strip: 25,
  /** Batch axes, innermost last; four words for each. */
  axes: 26,
  firstAxis: 27,
} as const

/** Words of one batch axis. */
export const axisWords = { size: 0, a: 1, b: 2, output: 3, count: 4 } as const

/** A thread's workspace: a row of zeros, a tile for edges, the packed block of A, the packed block of B. */
export const workspace = { zeros: 0, tile: 256, packed: 1024 } as const
