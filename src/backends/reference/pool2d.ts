import { type Pool2dKernel, pool2dSizes } from '../../kernels/kernel.js'
import { DTypeError, ShapeError } from '../../tensor/errors.js'
import { checkBuffers, checkDType, checkOperand, nameOf } from './check.js'
import type { Elements, ReferenceBuffer } from './memory.js'

/** The part of a window that lies in the image: elements of one plane, ends excluded. */
interface Window {
  readonly top: number
  readonly bottom: number
  readonly left: number
  readonly right: number
}

/** Windows in ascending order; averages are summed in f64 and rounded once, gradients added up in the output's dtype. */
export function runPool2d(kernel: Pool2dKernel, buffers: readonly ReferenceBuffer[]): void {
  const { pass, combine, planes, size, outSize, inputs, output, countPadding } = kernel
  const needed = pass === 'backward' && combine === 'max' ? 2 : 1
  checkBuffers('pool2d', needed + 1, buffers.length)
  checkGeometry(kernel, needed)
  const { dtype } = output
  if (dtype !== 'f32' && dtype !== 'f64') {
    throw new DTypeError(`pool2d: operands must be f32 or f64, got ${dtype}; cast them first.`, { op: 'pool2d' })
  }
  const sizes = pool2dSizes(kernel)
  const elements = [...inputs, output].map((operand, i): Elements => {
    checkDType('pool2d', `operand ${i}`, dtype, operand.dtype)
    const own = buffers[i]?.elements(dtype) ?? new Float32Array()
    const role = i < inputs.length ? 'input' : 'output'
    checkOperand('pool2d', nameOf(role, i, operand), [sizes[i] ?? 0], { strides: [1], offset: operand.offset }, own)
    return own.subarray(operand.offset, operand.offset + (sizes[i] ?? 0))
  })
  const [first, second = first] = elements
  const target = elements[inputs.length]
  if (!first || !second || !target) return
  const [height, width] = size
  const plane = height * width
  if (pass === 'backward') target.fill(0)

  for (let p = 0, out = 0; p < planes; p++) {
    for (let oy = 0; oy < outSize[0]; oy++) {
      for (let ox = 0; ox < outSize[1]; ox++, out++) {
        const window = windowAt(kernel, oy, ox)
        const { top, bottom, left, right } = window
        const count = countPadding ? kernel.kernel[0] * kernel.kernel[1] : (bottom - top) * (right - left)
        if (combine === 'max') {
          const x = pass === 'forward' ? first : second
          const at = largest(x, p * plane, width, window)
          if (pass === 'forward') target[out] = x[at] ?? 0
          else target[at] = (target[at] ?? 0) + (first[out] ?? 0)
        } else if (pass === 'forward') {
          let sum = 0
          for (let y = top; y < bottom; y++)
            for (let x = left; x < right; x++) sum += first[p * plane + y * width + x] ?? 0
          target[out] = sum / count
        } else {
          for (let y = top; y < bottom; y++)
            for (let x = left; x < right; x++) {
              const at = p * plane + y * width + x
              target[at] = (target[at] ?? 0) + (first[out] ?? 0) / count
            }
        }
      }
    }
  }
}

function windowAt({ size, kernel, stride, padding }: Pool2dKernel, oy: number, ox: number): Window {
  const [y, x] = [oy * stride[0] - padding[0], ox * stride[1] - padding[1]]
  return {
    top: Math.max(y, 0),
    bottom: Math.min(y + kernel[0], size[0]),
    left: Math.max(x, 0),
    right: Math.min(x + kernel[1], size[1]),
  }
}

/** Where the first largest element of a window is, or its last NaN. */
function largest(x: Elements, plane: number, width: number, { top, bottom, left, right }: Window): number {
  let best = plane + top * width + left
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      const at = plane + row * width + column
      const value = x[at] ?? 0
      if (value > (x[best] ?? 0) || Number.isNaN(value)) best = at
    }
  }
  return best
}

function checkGeometry({ size, outSize, kernel, stride, padding, inputs }: Pool2dKernel, needed: number): void {
  const fits = ([0, 1] as const).every((axis) => {
    const room = size[axis] + 2 * padding[axis] - kernel[axis]
    return room >= 0 && 2 * padding[axis] <= kernel[axis] && outSize[axis] === Math.floor(room / stride[axis]) + 1
  })
  if (fits && inputs.length === needed) return
  const geometry = `image ${size.join(' x ')}, window ${kernel.join(' x ')}, stride ${stride}, padding ${padding}`
  const message = `pool2d: ${geometry} with ${inputs.length} inputs do not give ${outSize.join(' x ')}; the padding is at most half the window.`
  throw new ShapeError(message, { op: 'pool2d' })
}
