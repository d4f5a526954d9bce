import { expect, test } from 'vitest'
import { createReferenceBackend } from '../../../src/backends/reference/index.js'
import { input } from '../../../src/kernels/expr.js'
import type { MapKernel } from '../../../src/kernels/kernel.js'
import { DeviceError } from '../../../src/tensor/errors.js'

const vector = { dtype: 'f32', strides: [1], offset: 0 } as const
const copy: MapKernel = { kind: 'map', shape: [2], inputs: [vector], outputs: [vector], exprs: [input(0, 'f32')] }

test('what is written is read back, from any byte', async () => {
  const backend = createReferenceBackend()
  const buffer = backend.allocate(7)
  backend.write(buffer, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7))
  backend.write(buffer, 3, Uint8Array.of(40, 50))
  expect([...(await backend.read(buffer, 2, 4))]).toEqual([3, 40, 50, 6])
})

test('a read is a copy', () => {
  const backend = createReferenceBackend()
  const buffer = backend.allocate(4)
  backend.write(buffer, 0, Uint8Array.of(1, 2, 3, 4))
  backend.readSync?.(buffer, 0, 4)?.fill(9)
  expect([...(backend.readSync?.(buffer, 0, 4) ?? [])]).toEqual([1, 2, 3, 4])
})

test('memory counts live bytes and their peak', () => {
  const backend = createReferenceBackend({ limit: 1000 })
  const first = backend.allocate(100)
  backend.free(backend.allocate(300))
  expect(backend.memory()).toEqual({ used: 100, peak: 400, reserved: 100, limit: 1000 })
  backend.free(first)
  expect(backend.memory().used).toBe(0)
})

test('an allocation past the limit names need, use and limit, and takes nothing', () => {
  const backend = createReferenceBackend({ limit: 1000 })
  backend.allocate(600)
  expect(() => backend.allocate(401)).toThrow(DeviceError)
  expect(() => backend.allocate(401)).toThrow(/401 bytes are needed, but 600 of at most 1000 are in use/)
  expect(backend.memory().used).toBe(600)
  backend.allocate(400)
})

test('a freed buffer can be used for nothing', async () => {
  const backend = createReferenceBackend()
  const freed = backend.allocate(8)
  const live = backend.allocate(8)
  backend.free(freed)
  expect(() => backend.free(freed)).toThrow(DeviceError)
  expect(() => backend.write(freed, 0, new Uint8Array(1))).toThrow(DeviceError)
  expect(() => backend.readSync?.(freed, 0, 1)).toThrow(DeviceError)
  await expect(backend.read(freed, 0, 1)).rejects.toThrow(DeviceError)
  expect(() => backend.run(copy, [live, freed], [])).toThrow(/freed/)
})

test('a buffer of another backend is refused', () => {
  const backend = createReferenceBackend()
  const foreign = createReferenceBackend().allocate(8)
  expect(() => backend.run(copy, [foreign, foreign], [])).toThrow(DeviceError)
})

test('reading or writing past the end is refused', () => {
  const backend = createReferenceBackend()
  const buffer = backend.allocate(7)
  expect(() => backend.readSync?.(buffer, 4, 4)).toThrow(/4 bytes from 4/)
  expect(() => backend.write(buffer, -1, new Uint8Array(1))).toThrow(DeviceError)
})

test('fresh memory is NaN, so a read before the first write shows', () => {
  const backend = createReferenceBackend()
  const bytes = backend.readSync?.(backend.allocate(4), 0, 4)
  expect(new Float32Array(bytes?.buffer ?? new ArrayBuffer(0))[0]).toBeNaN()
})

test('closing returns all memory', async () => {
  const backend = createReferenceBackend()
  const buffer = backend.allocate(64)
  await backend.close()
  expect(backend.memory().used).toBe(0)
  // The garbage collector may find a tensor later.
  expect(() => backend.free(buffer)).not.toThrow()
  expect(() => backend.readSync?.(buffer, 0, 4)).toThrow(DeviceError)
})

test('bytes are copied between buffers, and within one as if read first', () => {
  const backend = createReferenceBackend()
  const [from, to] = [backend.allocate(6), backend.allocate(4)]
  backend.write(from, 0, Uint8Array.of(1, 2, 3, 4, 5, 6))
  backend.write(to, 0, Uint8Array.of(9, 9, 9, 9))
  backend.copy(from, 2, to, 1, 3)
  expect([...(backend.readSync?.(to, 0, 4) ?? [])]).toEqual([9, 3, 4, 5])
  backend.copy(from, 0, from, 1, 5)
  expect([...(backend.readSync?.(from, 0, 6) ?? [])]).toEqual([1, 1, 2, 3, 4, 5])
  expect(() => backend.copy(from, 0, to, 2, 3)).toThrow(DeviceError)
})
