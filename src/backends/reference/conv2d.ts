import { type Conv2dKernel, conv2dSizes, type Operand } from '../../kernels/kernel.js'
import { DTypeError, ShapeError } from '../../tensor/errors.js'
import { checkBuffers, checkDType, checkOperand } from './check.js'
import type { Elements, ReferenceBuffer } from './memory.js'

/** One product of an input element, a weight and an output element; `input` is −1 in the padding, where the input is 0. */
type Visit = (input: number, weight: number, output: number) => void

/**
 * The three passes of a convolution: the same products, added up at another of the three operands. Every sum is taken
 * in f64, in the order of outputs, then input channels, then taps, and rounded once.
 */
export function runConv2d(kernel: Conv2dKernel, buffers: readonly ReferenceBuffer[]): void {
  const { pass, a, b, output } = kernel
  checkBuffers('conv2d', 3, buffers.length)
  checkGeometry(kernel)
  const { dtype } = output
  if (dtype !== 'f32' && dtype !== 'f64') {
    throw new DTypeError(`conv2d: operands must be f32 or f64, got ${dtype}; cast them first.`, { op: 'conv2d' })
  }
  checkDType('conv2d', 'a', dtype, a.dtype)
  checkDType('conv2d', 'b', dtype, b.dtype)
  const [left, right, target] = buffers.map((buffer) => buffer.elements(dtype))
  if (!left || !right || !target) return
  const sizes = conv2dSizes(kernel)
  const bind = (name: string, operand: Operand, elements: Elements, size: number) =>
    checkOperand('conv2d', name, [size], { strides: [1], offset: operand.offset }, elements)
  bind('a', a, left, sizes[0])
  bind('b', b, right, sizes[1])
  bind('the output', output, target, sizes[2])

  const sums = new Float64Array(sizes[2])
  const x = (at: number) => (at < 0 ? 0 : (left[a.offset + at] ?? 0))
  const y = (at: number) => (at < 0 ? 0 : (right[b.offset + at] ?? 0))
  const add = (at: number, product: number) => {
    sums[at] = (sums[at] ?? 0) + product
  }
  const visits: Record<Conv2dKernel['pass'], Visit> = {
    forward: (input, weight, out) => add(out, x(input) * y(weight)),
    inputGradient: (input, weight, out) => input >= 0 && add(input, x(out) * y(weight)),
    weightGradient: (input, weight, out) => add(weight, x(input) * y(out)),
  }
  eachProduct(kernel, visits[pass])
  target.set(sums, output.offset)
}

function eachProduct(kernel: Conv2dKernel, visit: Visit): void {
  const { batch, inChannels, outChannels, groups, size, outSize, kernel: window, stride, padding, dilation } = kernel
  const [inPerGroup, outPerGroup] = [inChannels / groups, outChannels / groups]
  for (let n = 0; n < batch; n++) {
    for (let f = 0; f < outChannels; f++) {
      const firstChannel = Math.floor(f / outPerGroup) * inPerGroup
      for (let oy = 0; oy < outSize[0]; oy++) {
        for (let ox = 0; ox < outSize[1]; ox++) {
          const out = ((n * outChannels + f) * outSize[0] + oy) * outSize[1] + ox
          for (let c = 0; c < inPerGroup; c++) {
            const plane = n * inChannels + firstChannel + c
            for (let ky = 0; ky < window[0]; ky++) {
              const y = oy * stride[0] + ky * dilation[0] - padding[0]
              for (let kx = 0; kx < window[1]; kx++) {
                const x = ox * stride[1] + kx * dilation[1] - padding[1]
                const inside = y >= 0 && y < size[0] && x >= 0 && x < size[1]
                const input = inside ? (plane * size[0] + y) * size[1] + x : -1
                visit(input, ((f * inPerGroup + c) * window[0] + ky) * window[1] + kx, out)
              }
            }
          }
        }
      }
    }
  }
}

function checkGeometry({ inChannels, outChannels, groups, size, outSize, ...rest }: Conv2dKernel): void {
  const { kernel, stride, padding, dilation } = rest
  const fits = ([0, 1] as const).every((axis) => {
    const room = size[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1
    return room >= 0 && outSize[axis] === Math.floor(room / stride[axis]) + 1
  })
  if (fits && inChannels % groups === 0 && outChannels % groups === 0) return
  const geometry = `image ${size.join(' x ')}, window ${kernel.join(' x ')}, stride ${stride}, padding ${padding}, dilation ${dilation}`
  const channels = `${inChannels} -> ${outChannels} channels in ${groups} groups`
  const message = `conv2d: ${geometry}, ${channels} do not give ${outSize.join(' x ')}; compute the output size from the others.`
  throw new ShapeError(message, { op: 'conv2d' })
}
