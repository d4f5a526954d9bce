/**
 * Where the argument block of a convolution holds what: positions of 32-bit words. Steps and places are in bytes. The
 * three kernels share one block, so that a plan is written once.
 */
export const words = {
  /** What the planes are made of: the input, or for the input gradient the gradient of the output. */
  source: 0,
  /** Weights as they come; for the weight gradient the gradient of the output. */
  weight: 1,
  output: 2,
  /** Weights in the order in which they are read, made by `convPack`; shared by all threads. */
  packed: 3,
  /** Workspace of thread 0; the others' follow `workBytes` apart. */
  work: 4,
  workBytes: 5,
  batch: 6,
  groups: 7,
  /** Of one group: planes read, and planes (or rows of the weight) written. */
  channels: 8,
  filters: 9,
  /** A dense plane of the source and of the output. */
  sourcePlane: 10,
  outputPlane: 11,
  /** From one channel to the next, and from one row to the next, where the kernel reads. */
  channelStep: 12,
  pitch: 13,
  sourceRow: 14,
  sourceColumn: 15,
  outputRow: 16,
  outputColumn: 17,
  /** How many stretches make a plane. */
  copies: 18,
  copiesAt: 19,
  /** All planes of one image and group. */
  planesBytes: 20,
  /** 1: every row of the output has tiles of its own; 0: tiles run on from row to row. */
  rowByRow: 21,
  /** Blocks of filters, and the table of their first filters. */
  blocks: 22,
  blocksAt: 23,
  classes: 24,
  classesAt: 25,
  /** Steps between elements of the weight: to the next filter, channel and group. */
  weightRow: 26,
  weightChannel: 27,
  weightGroup: 28,
  /** Of the weight gradient: images at a time, taps, groups of taps, a plane of the gradient, rows, columns, steps. */
  imagesAtOnce: 29,
  taps: 30,
  tapsAt: 31,
  tapGroups: 32,
  gradientPlane: 33,
  gradientRows: 34,
  gradientColumns: 35,
  steps: 36,
  gradientsAt: 37,
  /** 0: planes are read where they are. */
  copied: 38,
  /** 1: a tile may run over the end of its row of the output, because the next row is computed after it. */
  spills: 39,
  /** What is called on finished elements: a position in the table, or 0, and the distance to its block. */
  call: 40,
  callBlock: 41,
  first: 42,
} as const

/** A stretch of a plane: where it goes in the plane, where it comes from in the dense one, rows and columns. */
export const copyWords = { to: 0, from: 1, rows: 2, columns: 3, count: 4 } as const
/** Elements of the output that see the same taps: rows, columns, first element, taps, first packed weight. */
export const classWords = { rows: 0, columns: 1, start: 2, taps: 3, tapsAt: 4, packed: 5, count: 6 } as const
/** What a tap reads, from the element's place in the planes, and which weight it has. */
export const tapWords = { source: 0, weight: 1, count: 2 } as const

/** A thread's workspace: a tile for edges and sums, then the planes. */
export const workspace = { tile: 0, planes: 1024 } as const
