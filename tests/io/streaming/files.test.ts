import { createHash } from 'node:crypto'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { normal, setDefaultDevice, tensor, wasmDevice, zeros } from 'dfdt'
import {
  type AverageFilesOptions,
  averageFiles,
  diffFiles,
  emaFiles,
  type FilesProgress,
  inspectFile,
} from 'dfdt/files'
import { loadModel, saveModel } from 'dfdt/io'
import { batchNorm1d, buffer, clone, convert, linear, parameter, sequential } from 'dfdt/nn'
import { average, ema, snapshotMetadata, update } from 'dfdt/update'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DeviceError, FormatError, OptionError, ShapeError } from '../../../src/tensor/errors.js'
import { tensorsOf } from '../../../src/model/walk.js'

const golden = fileURLToPath(new URL('../../golden/files/', import.meta.url))
const sharded = join(golden, 'sharded')
const [a, b] = [join(golden, 'a.safetensors'), join(golden, 'b.safetensors')]

let directory = ''
beforeAll(() => {
  setDefaultDevice(wasmDevice({ threads: 1 }))
})
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dfdt-files-'))
  return () => rmSync(directory, { recursive: true })
})

const at = (name: string) => join(directory, name)
const contents = () =>
  readdirSync(directory).map((name) => [
    name,
    createHash('sha1')
      .update(readFileSync(at(name)))
      .digest('hex'),
  ])
const valuesOf = (model: object) => tensorsOf(model).map(({ tensor: one }) => [...one.dataSync()])
async function saved<M extends object>(name: string, model: M, metadata = {}): Promise<M> {
  writeFileSync(at(name), await saveModel(model, metadata))
  return model
}

describe('what functions for files make is what those for models do', () => {
  test('average and ema', async () => {
    const models = await Promise.all(['x', 'y', 'z'].map((name) => saved(`${name}.safetensors`, linear(5, 3))))
    const [x = expect.unreachable(), y = expect.unreachable()] = models
    const sources = ['x', 'y', 'z'].map((name) => at(`${name}.safetensors`))
    const output = at('out.safetensors')
    const progress: FilesProgress[] = []
    const written = await averageFiles(
      { sources, output },
      { weights: [2, 1, 1], onProgress: (each) => progress.push(each) },
    )
    const target = clone(x)
    average({ target, sources: models }, { weights: [2, 1, 1] })
    const found = clone(x)
    expect(loadModel(found, readFileSync(output))).toEqual({ dfdt: 'weighted mean of 3 models' })
    expect(valuesOf(found)).toEqual(valuesOf(target))
    const { bytes } = written
    expect(written).toMatchObject({
      files: [output],
      tensors: 2,
      dtypes: ['F32'],
      weights: [0.5, 0.25, 0.25],
      warnings: [],
    })
    expect(readFileSync(output)).toHaveLength(bytes)
    expect(progress.at(-1)).toEqual({ pass: 'write', done: bytes, total: bytes })

    // In place of the target.
    const [first = '', second = ''] = sources
    await emaFiles({ target: first, source: second }, { halfLife: 3 })
    update({ target: x, source: y }, ema({ halfLife: 3 }))
    loadModel(found, readFileSync(first))
    expect(valuesOf(found)).toEqual(valuesOf(x))
    const { floats, tensors, unmatched } = await diffFiles(first, second)
    expect(floats.differing).toBe(18)
    expect(tensors.map(({ name, shape }) => [name, shape])).toEqual([
      ['bias', [3]],
      ['weight', [3, 5]],
    ])
    expect(unmatched).toEqual([])
  })

  test.each([
    ['f32', 3],
    ['f32', 9],
    ['bf16', 9],
    ['f16', 2],
  ] as const)('running variances of %s are pooled, of %d models', async (dtype, count) => {
    const models = Array.from({ length: count }, (_, i) => {
      const norm = batchNorm1d(5)
      for (let step = 0; step <= i; step++)
        norm.forward(
          normal([8, 5])
            .mul(i + 1)
            .add(i)
            .trace(),
        )
      return convert(sequential(linear(2, 5), norm), dtype)
    })
    const sources = models.map((_, i) => at(`${i}.safetensors`))
    for (const [i, model] of models.entries()) await saved(`${i}.safetensors`, model)
    const weights = models.map((_, i) => (i === 1 ? 0 : i + 1))
    const target = clone(models[0] ?? expect.unreachable())
    for (const given of [weights, undefined]) {
      const options = { ...(given && { weights: given }), integers: 'first', force: true } as const
      await averageFiles({ sources, output: at('out.safetensors') }, options)
      average({ target, sources: models }, given && { weights: given })
      const found = clone(target)
      for (const { tensor: one } of tensorsOf(found)) one.storage.write(0, new Uint8Array(one.storage.byteLength))
      loadModel(found, readFileSync(at('out.safetensors')))
      expect(valuesOf(found)).toEqual(valuesOf(target))
    }
    // More than within the models: their means lie apart.
    const within = models.reduce((sum, { layers }) => sum + (layers[1].running_var.dataSync()[0] ?? 0), 0) / count
    expect(target.layers[1].running_var.dataSync()[0]).toBeGreaterThan(within)
    // The same model again and again is that model.
    const [first = ''] = sources
    const same = [first, first, first]
    await averageFiles({ sources: same, output: at('out.safetensors') }, { weights: [0.3, 0.7, 0.1], force: true })
    expect((await diffFiles(first, at('out.safetensors'))).tensors.every(({ differing }) => differing === 0)).toBe(true)
  })

  test('snapshots say what they are', async () => {
    for (const [i, sigmaRel] of [0.05, 0.1].entries())
      await saved(
        `${i}.safetensors`,
        { w: parameter(tensor([i])), forward() {} },
        snapshotMetadata({ sigmaRel, step: 100 }),
      )
    const sources = [at('0.safetensors'), at('1.safetensors')]
    const output = at('out.safetensors')
    const { postHoc, weights } = await averageFiles({ sources, output }, { sigmaRel: 0.07 })
    expect(postHoc).toMatchObject({
      sigmaRel: 0.07,
      step: 100,
      snapshots: [
        { sigmaRel: 0.05, step: 100 },
        { sigmaRel: 0.1, step: 100 },
      ],
    })
    // Snapshots 0 and 1: what is left is the weight of the second.
    const w = parameter(tensor([0]))
    loadModel({ w, forward() {} }, readFileSync(output))
    expect(w.itemSync()).toBe(Math.fround(weights?.[1] ?? Number.NaN))
    const far = () => averageFiles({ sources, output: at('far.safetensors') }, { sigmaRel: 0.25 })
    await expect(far()).rejects.toThrow(/averageFiles: the snapshots do not give sigmaRel 0\.25 at step 100/)
    expect(readdirSync(directory)).not.toContain('far.safetensors')
  })
})

test('sharded models: read, averaged into a directory, updated in place', async () => {
  const { tensors, files, index, metadata } = inspectFile(sharded)
  expect(tensors).toHaveLength(9)
  expect(files).toHaveLength(2)
  expect(metadata).toEqual({ format: 'pt' })
  const written = await averageFiles({ sources: [sharded, a], output: directory }, { integers: 'first', slerp: 0.5 })
  expect(written.files).toHaveLength(2)
  expect(written.index).toBe(at('model.safetensors.index.json'))
  expect(written.spherical).toMatchObject({ arcs: expect.any(Number) })
  await emaFiles({ target: written.index ?? '', source: b }, { tau: 0.5, dtype: 'f32' })
  expect(inspectFile(directory).metadata).toMatchObject({ dfdt: 'ema, tau 0.5' })
  expect(index).toBe(join(sharded, 'model.safetensors.index.json'))
})

describe('refusals, and nothing is written', () => {
  const refused = async (
    run: () => Promise<unknown>,
    kind: new (...args: never[]) => Error,
    message: string | RegExp,
  ) => {
    const before = contents()
    const attempt = run()
    await expect(attempt).rejects.toThrow(kind)
    await expect(attempt).rejects.toThrow(message)
    expect(contents()).toEqual(before)
  }

  test.each<[options: object, message: string]>([
    [{ alpha: 0.5, slerp: 0.5 }, 'give one of { alpha } and { slerp }'],
    [{ weights: [1] }, '{ weights } needs one number for each file, got 1 number for 2 files'],
    [{ weights: [1, -1] }, '{ weights } are divided by their sum, which is 0'],
    [{ weights: ['1', 1] }, '{ weights } are numbers'],
    [{ alpha: 1.5 }, '{ alpha } is a share from 0 to 1, got 1.5'],
    [{ decay: 2 }, 'decay is the weight of the old value and must be in [0, 1], got 2'],
    [{ steps: [1, 2] }, 'belong to { sigmaRel }'],
    [{ sigmaRel: 0.1 }, 'does not say its step (power_ema_step) in its metadata; give { steps }, one for each file'],
    [{ dtype: 'F32' }, `{ dtype } is one of 'f16', 'bf16', 'f32', 'f64', got "F32"`],
    [{ integers: 'mine' }, "{ integers } is one of 'equal', 'first', 'last'"],
    [{ overwrite: true }, 'there is no option "overwrite"'],
  ])('average as %j', async (options, message) => {
    const run = () => averageFiles({ sources: [a, b], output: at('out.safetensors') }, options as AverageFilesOptions)
    await refused(run, OptionError, message)
  })

  test('integers that differ, until it is said whose to take', async () => {
    const counted = (count: number) => ({ n: buffer(tensor([count], { dtype: 'i32' })), forward() {} })
    for (const count of [3, 4]) await saved(`${count}.safetensors`, counted(count))
    const sources = [at('3.safetensors'), at('4.safetensors')]
    const run = (options: AverageFilesOptions = {}) => averageFiles({ sources, output: at('out.safetensors') }, options)
    await refused(
      run,
      OptionError,
      "say whose to take with { integers: 'first' } or { integers: 'last' }:\n  \"n\" (I32)",
    )
    await run({ integers: 'last' })
    const found = counted(0)
    loadModel(found, readFileSync(at('out.safetensors')))
    expect(found.n.itemSync()).toBe(4)
  })

  test('files that exist, other names, no files', async () => {
    const output = at('there.safetensors')
    copyFileSync(a, output)
    const run = (to: string, from = [a]) => averageFiles({ sources: from, output: to })
    await refused(() => run(output), OptionError, `averageFiles: ${output} exists; { force: true } replaces it.`)
    await refused(() => run(output, [output]), OptionError, 'exists')
    await refused(() => emaFiles({ target: a, source: b, output }, { tau: 0.5 }), OptionError, 'exists')
    await refused(() => run(at('x.bin')), OptionError, 'it must end in .safetensors, or be a directory that exists')
    await refused(() => run(at('x.safetensors'), []), OptionError, 'averageFiles: needs at least one file.')
    await refused(() => run(undefined as never), OptionError, 'output is the path of a model, got undefined')
    await refused(() => run(at('x.safetensors'), [at('none')]), FormatError, 'there is no such file')
    await refused(
      () => run(at('x.safetensors'), [a, join(golden, 'snapshot-0500-0.05.safetensors')]),
      ShapeError,
      'has no',
    )
    await refused(
      () => emaFiles({ target: output, source: b }, {} as never),
      OptionError,
      'emaFiles: give exactly one of',
    )
    await refused(() => diffFiles(a, at('none')), FormatError, 'there is no such file')
    expect(() => inspectFile('')).toThrow(OptionError)
  })

  test('a signal', async () => {
    const abort = new AbortController()
    const onProgress = () => abort.abort(new RangeError('enough'))
    const run = () =>
      averageFiles({ sources: [a], output: at('out.safetensors') }, { onProgress, signal: abort.signal })
    await refused(run, RangeError, 'enough')
  })

  test('a device that others use, whose memory grows meanwhile', async () => {
    const device = wasmDevice({ threads: 1 })
    const model = { w: parameter(normal([3_000_000])), forward() {} }
    for (const name of ['x', 'y']) await saved(`${name}.safetensors`, model)
    const others: unknown[] = []
    const onProgress = () => others.push(zeros([2 ** 21], { device }))
    const sources = [at('x.safetensors'), at('y.safetensors')]
    const run = () => averageFiles({ sources, output: at('out.safetensors') }, { device, onProgress })
    await refused(run, DeviceError, "the device's memory grew while files were read into it; give this one a device")
    // Without one it has its own, and several may run at a time.
    const grow = () => others.push(zeros([2 ** 21]))
    const outputs = ['1', '2', '3'].map((name) => at(`${name}.safetensors`))
    await Promise.all(outputs.map((output) => averageFiles({ sources, output }, { onProgress: grow })))
    for (const output of outputs) expect((await diffFiles(output, at('x.safetensors'))).floats.differing).toBe(0)
  })

  test('a device whose memory the host does not see', async () => {
    const device = wasmDevice({ threads: 1 })
    Object.defineProperty(device.backend, 'view', { value: undefined })
    const run = () => averageFiles({ sources: [a], output: at('out.safetensors') }, { device })
    await refused(run, DeviceError, 'a device whose memory the host sees, which wasm is not')
  })
})
