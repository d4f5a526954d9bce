import { halfBits, halfValue } from '../../shapes/half.js'
import { type DType, isHalf } from '../../tensor/dtype.js'
import { type Buffer, bytesPerElement, type MemoryStats } from '../../tensor/backend.js'
import { DeviceError } from '../../tensor/errors.js'

/** The elements of a buffer as they lie in memory: `bool` as u32, `f16` and `bf16` as bits. */
export type Elements = Float64Array | Float32Array | Int32Array | Uint32Array | Uint16Array

/** Replaces elements of memory by the numbers that they stand for, in place. */
export function decode(values: Float64Array, dtype: DType, count = values.length): void {
  if (isHalf(dtype)) for (let i = 0; i < count; i++) values[i] = halfValue(values[i] ?? 0, dtype)
}
/** The elements that stand for numbers. */
export const encoded = (values: Float64Array, dtype: DType): Float64Array =>
  isHalf(dtype) ? values.map((value) => halfBits(value, dtype)) : values

function view(dtype: DType, bytes: ArrayBuffer, byteLength: number): Elements {
  const length = Math.floor(byteLength / bytesPerElement[dtype])
  if (dtype === 'f64') return new Float64Array(bytes, 0, length)
  if (dtype === 'f32') return new Float32Array(bytes, 0, length)
  if (isHalf(dtype)) return new Uint16Array(bytes, 0, length)
  return dtype === 'i32' ? new Int32Array(bytes, 0, length) : new Uint32Array(bytes, 0, length)
}

/** Fresh memory is NaN in floats and odd in integers, so that a read before the first write shows. */
const poison = 0xff

export class ReferenceBuffer implements Buffer {
  #bytes: ArrayBuffer | undefined
  readonly #views: Partial<Record<DType, Elements>> = {}

  constructor(readonly byteLength: number) {
    this.#bytes = new ArrayBuffer(Math.ceil(byteLength / 8) * 8)
    new Uint8Array(this.#bytes).fill(poison)
  }

  /** The whole buffer; throws `DeviceError` once it has been freed. */
  get bytes(): ArrayBuffer {
    if (this.#bytes) return this.#bytes
    throw new DeviceError('This buffer has been freed: its memory may hold other numbers now. Free a buffer last.')
  }

  elements(dtype: DType): Elements {
    const { bytes } = this
    this.#views[dtype] ??= view(dtype, bytes, this.byteLength)
    return this.#views[dtype]
  }

  drop(): void {
    this.#bytes = undefined
    for (const dtype of Object.keys(this.#views) as DType[]) delete this.#views[dtype]
  }
}

/** The live buffers of one backend and what they add up to. */
export class Memory {
  readonly #live = new Set<Buffer>()
  #used = 0
  #peak = 0
  #closed = false

  constructor(readonly limit: number) {}

  allocate(byteLength: number): ReferenceBuffer {
    if (!Number.isSafeInteger(byteLength) || byteLength < 0) {
      throw new DeviceError(`allocate: expected a whole number of bytes, got ${byteLength}.`, { op: 'allocate' })
    }
    if (this.#used + byteLength > this.limit) throw this.#exhausted(byteLength)
    const buffer = this.#take(byteLength)
    this.#live.add(buffer)
    this.#used += byteLength
    this.#peak = Math.max(this.#peak, this.#used)
    return buffer
  }

  #take(byteLength: number): ReferenceBuffer {
    try {
      return new ReferenceBuffer(byteLength)
    } catch (cause) {
      throw this.#exhausted(byteLength, cause)
    }
  }

  #exhausted(need: number, cause?: unknown): DeviceError {
    const state = `${this.#used} of at most ${this.limit} are in use`
    const message = `allocate: ${need} bytes are needed, but ${state}; free tensors with scope() or raise the limit.`
    return new DeviceError(message, { op: 'allocate', cause })
  }

  free(buffer: Buffer): void {
    // Closing has freed everything; tensors that the garbage collector finds later still give theirs back.
    if (this.#closed) return
    const own = this.own(buffer)
    this.#live.delete(own)
    this.#used -= own.byteLength
    own.drop()
  }

  /** The buffer if it is live and of this backend; throws `DeviceError` otherwise. */
  own(buffer: Buffer): ReferenceBuffer {
    if (buffer instanceof ReferenceBuffer && this.#live.has(buffer)) return buffer
    const what =
      buffer instanceof ReferenceBuffer ? 'has been freed or belongs to another device' : 'is of another backend'
    throw new DeviceError(`This buffer ${what}: its memory cannot be used here. Free a buffer last, and only once.`)
  }

  freeAll(): void {
    for (const buffer of this.#live) this.free(buffer)
    this.#closed = true
  }

  stats(): MemoryStats {
    return { used: this.#used, peak: this.#peak, reserved: this.#used, limit: this.limit }
  }
}
