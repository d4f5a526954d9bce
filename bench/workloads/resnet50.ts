export const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)

/** A convolution without bias and the weight and bias of its batch norm. */
const conv = (outputs: number, inputs: number, kernel: number) => [
  [outputs, inputs, kernel, kernel],
  [outputs],
  [outputs],
]

/** Blocks of 1x1, 3x3 and 1x1 convolutions; the first one also projects its input. */
function stage(inputs: number, width: number, blocks: number): number[][] {
  const outputs = 4 * width
  return Array.from({ length: blocks }, (_, block) => [
    ...conv(width, block === 0 ? inputs : outputs, 1),
    ...conv(width, width, 3),
    ...conv(outputs, width, 1),
    ...(block === 0 ? conv(outputs, inputs, 1) : []),
  ]).flat()
}

/** The shapes of ResNet-50's 161 parameters in the order of PyTorch's: 25 557 032 numbers. */
export const resnet50: readonly number[][] = [
  ...conv(64, 3, 7),
  ...stage(64, 64, 3),
  ...stage(256, 128, 4),
  ...stage(512, 256, 6),
  ...stage(1024, 512, 3),
  [1000, 2048],
  [1000],
]
