/** Words of a pooling's argument block. */
export const words = {
  /** x; backward: the gradient of the output. */
  first: 0,
  /** Backward of max: x. */
  second: 1,
  output: 2,
  planes: 3,
  height: 4,
  width: 5,
  outHeight: 6,
  outWidth: 7,
  windowHeight: 8,
  windowWidth: 9,
  strideHeight: 10,
  strideWidth: 11,
  paddingHeight: 12,
  paddingWidth: 13,
  countPadding: 14,
  /** What is called on finished elements: a position in the table, or 0, and the distance to its block. */
  call: 15,
  callBlock: 16,
  count: 17,
} as const
