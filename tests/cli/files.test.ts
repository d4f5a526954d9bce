import { type ChildProcess, spawn } from 'node:child_process'
import {
  closeSync,
  copyFileSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setDefaultDevice, wasmDevice, zeros } from 'dfdt'
import { loadModel } from 'dfdt/io'
import { parameter } from 'dfdt/nn'
import { postHocEma } from 'dfdt/update'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bytesText } from '../../src/cli/bytes.js'
import { bytesLine } from '../../src/cli/bytes-progress.js'
import { tableLines } from '../../src/cli/table.js'
import { decode, encode, type RawTensor } from '../../src/io/raw-tensor.js'
import { parseSafetensors, writeSafetensors } from '../../src/io/safetensors.js'
import { planSafetensors } from '../../src/io/safetensors-layout.js'
import { runCli } from './run-cli.js'
import { buildLibrary } from '../meta/built-library.js'

/** Models written by the Python package, and averages of them in f64: tools/golden/files.py. */
const golden = fileURLToPath(new URL('../golden/files/', import.meta.url))
const [a, b, c] = ['a', 'b', 'c'].map((name) => join(golden, `${name}.safetensors`))
const models = [a ?? '', b ?? '', c ?? '']
const sharded = join(golden, 'sharded')
const expected = parseSafetensors(readFileSync(join(golden, 'expected.safetensors'))).tensors

let scratch = ''
let out = ''
let runs = 0
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'dfdt-files-'))
})
beforeEach(() => {
  mkdirSync(join(scratch, String(++runs)))
  out = join(scratch, String(runs), 'out.safetensors')
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const read = (path = out) => parseSafetensors(readFileSync(path), path)
const neighbours = () => readdirSync(join(scratch, String(runs)))

/** Spacing of the numbers of each type around 1. */
const steps: Readonly<Record<string, number>> = { F64: 2 ** -52, F32: 2 ** -23, F16: 2 ** -10, BF16: 2 ** -7 }

function expectTensors(way: string, { tensors }: ReturnType<typeof read>): void {
  const first = read(models[0])
  expect([...tensors].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual(
    [...first.tensors].map(([name, { dtype, shape }]) => [name, dtype, shape]),
  )
  let compared = 0
  for (const [name, raw] of tensors) {
    const want = expected.get(`${way}/${name}`)
    const step = steps[raw.dtype]
    if (!want || step === undefined) {
      expect(raw.bytes).toEqual(first.tensors.get(name)?.bytes)
      continue
    }
    compared++
    const values = decode(raw, 'f64')
    // A few roundings of sums of numbers below 4, then one to the type of the file.
    const sums = raw.dtype === 'F64' ? 2 ** -50 : 2 ** -21
    decode(want, 'f64').forEach((value, i) => {
      const error = Math.abs(value - (values[i] ?? Number.NaN))
      expect(error).toBeLessThanOrEqual((step / 2) * Math.abs(value) + sums)
    })
  }
  expect(compared).toBe(7)
}

describe('average: files from Python, against NumPy in f64', () => {
  it.each([
    ['mean', [], 3, 'mean of 3 models'],
    ['weights', ['--weights', '3,-1,2'], 3, 'weighted mean of 3 models'],
    ['alpha', ['--alpha', '.3'], 2, '0.3 of the way from the first to the second model'],
    ['slerp', ['--slerp', '.3'], 2, '0.3 of the way from the first to the second model, spherical'],
    ['decay', ['--decay', '.9'], 3, 'ema over 3 models, decay 0.9'],
    ['decay', ['--tau', '.1', '--accumulate', 'f64'], 3, 'ema over 3 models, tau 0.1'],
  ])('%s %j', async (way, flags, count, title) => {
    const { exitCode, stdout, stderr } = await runCli(['average', ...models.slice(0, count), ...flags, '-o', out])
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout.split('\n')[0]).toBe(title)
    expect(stdout).toMatch(/out\.safetensors: 9 tensors I64 F64 F32 BF16 F16 BOOL, 1\.6 kB in 0\.\d s\n$/)
    const result = read()
    expect(result.metadata).toEqual({ format: 'pt', dfdt: title })
    expectTensors(way, result)
    expect(neighbours()).toEqual(['out.safetensors'])
  })

  it('reads a sharded model by its index or its directory', async () => {
    for (const second of [sharded, join(sharded, 'model.safetensors.index.json')]) {
      await runCli(['average', models[0] ?? '', second, models[2] ?? '', '-o', out, '--force'])
      expectTensors('mean', read())
    }
  })

  it('writes shards and an index into a directory, as the first model has them', async () => {
    const into = join(scratch, String(runs))
    const { stdout } = await runCli(['average', sharded, models[0] ?? '', models[2] ?? '', '-o', into])
    expect(stdout).toContain(': 2 shards, 9 tensors ')
    expect(neighbours().sort()).toEqual(readdirSync(sharded).sort())
    const indexOf = (directory: string) =>
      JSON.parse(readFileSync(join(directory, 'model.safetensors.index.json'), 'utf8'))
    expect(indexOf(into)).toEqual(indexOf(sharded))
    // Shards again into one file; a directory is read as it was written.
    const { stdout: told } = await runCli(['average', into, '-o', out])
    expect(told).toContain('mean of 1 model\n')
    expectTensors('mean', read())
    const refused = await runCli(['average', sharded, '-o', into])
    expect(refused.stderr).toMatch(/model-00001-of-00002\.safetensors exists; --force replaces it/)
  })

  it('converts', async () => {
    await runCli(['average', models[0] ?? '', '--dtype', 'f64', '-o', out])
    const wide = read()
    for (const [name, raw] of read(models[0]).tensors)
      if (steps[raw.dtype]) {
        const found = wide.tensors.get(name)
        expect(found?.dtype).toBe('F64')
        expect(found && decode(found, 'f64')).toEqual(Float64Array.from(decode(raw, 'f64')))
      }
    await runCli(['average', models[0] ?? '', '--dtype', 'BF16', '-o', out, '--force'])
    expect(new Set([...read().tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(['I64', 'BF16', 'BOOL']))
  })

  it('puts a power EMA together after training', async () => {
    const snapshots = readdirSync(golden).filter((name) => name.startsWith('snapshot'))
    const paths = snapshots.map((name) => join(golden, name))
    const { stdout } = await runCli(['average', ...paths, '--sigma-rel', '0.075', '-o', out, '--json'])
    const { weights, fitError, conditionNumber } = JSON.parse(stdout)
    expect(weights).toHaveLength(8)
    expect(fitError).toBeLessThan(0.05)
    expect(conditionNumber).toBeLessThan(100)
    const { tensors, metadata } = read()
    expect(metadata).toMatchObject({ power_ema_sigma_rel: '0.075', power_ema_step: '2000' })
    // The average that the training would have kept: nearer than either of those it did keep.
    const want = decode(expected.get('posthoc/w') ?? expect.unreachable(), 'f64')
    const distance = (raw: RawTensor | undefined) =>
      raw ? Math.hypot(...decode(raw, 'f64').map((x, i) => x - (want[i] ?? 0))) : Number.NaN
    const kept = ['0.05', '0.1'].map((sigma) =>
      distance(read(join(golden, `snapshot-2000-${sigma}.safetensors`)).tensors.get('w')),
    )
    expect(distance(tensors.get('w'))).toBeLessThan(Math.min(...kept) / 3)
    // The same bits as in memory.
    const device = wasmDevice({ threads: 1 })
    setDefaultDevice(device)
    const loaded = snapshots.map((name, i) => {
      const [, step = '', sigmaRel = ''] = /^snapshot-(\d+)-(.*)\.safetensors$/.exec(name) ?? []
      const model = { w: parameter(zeros([want.length])) }
      loadModel(model, readFileSync(paths[i] ?? ''))
      return { model, step: Number(step), sigmaRel: Number(sigmaRel) }
    })
    const { w } = postHocEma(loaded, { sigmaRel: 0.075 })
    expect(w.dataSync()).toEqual(decode(tensors.get('w') ?? expect.unreachable(), 'f32'))
    await device.close()
    // What is averaged otherwise is no snapshot.
    await runCli(['average', ...paths, '-o', out, '--force'])
    expect(read().metadata).toEqual({ dfdt: 'mean of 8 models' })
    const told = await runCli([
      'average',
      ...paths.slice(0, 2),
      '--sigma-rel',
      '0.2',
      '--steps',
      '100,100',
      '-o',
      out,
      '--force',
    ])
    expect(told.stdout).toContain('  snapshot-0500-0.05.safetensors     0.0500   100 ')
    expect(told.stdout).toMatch(/^the snapshots cannot give this average/m)
  })
})

describe('ema', () => {
  const [target = '', source = ''] = models

  it('moves the target towards the source; integers are the source’s', async () => {
    const { exitCode, stdout } = await runCli([
      'ema',
      '--target',
      target,
      '--source',
      source,
      '--decay',
      '.25',
      '-o',
      out,
    ])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^ema, decay 0\.25\n/)
    expectTensors('ema', read())
  })

  it('replaces its target in place, and nothing else without --force', async () => {
    const place = join(scratch, String(runs), 'average.safetensors')
    copyFileSync(target, place)
    symlinkSync(place, out)
    for (const path of [place, out])
      expect(await runCli(['ema', '--target', place, '--source', source, '--tau', '.75', '-o', path])).toMatchObject({
        exitCode: 0,
      })
    expect(neighbours().sort()).toEqual(['average.safetensors', 'out.safetensors'])
    const other = join(scratch, String(runs), 'source.safetensors')
    copyFileSync(source, other)
    const argv = ['ema', '--target', place, '--source', other, '--tau', '.75', '-o', other]
    expect(await runCli(argv)).toMatchObject({
      exitCode: 2,
      stderr: `dfdt: ema: ${other} exists; --force replaces it\n`,
    })
    expect(await runCli([...argv, '--force'])).toMatchObject({ exitCode: 0 })
  })

  it('warns when small steps are kept in 16 bits', async () => {
    const argv = ['ema', '--target', target, '--source', source, '-o', out]
    const { stderr } = await runCli([...argv, '--decay', '.999'])
    expect(stderr).toBe(
      'warning: 2 tensors of the average are in 16 bits, where steps this small round to nothing; keep it in 32 with --dtype f32\n',
    )
    expect((await runCli([...argv, '--decay', '.999', '--dtype', 'f32', '--force'])).stderr).toBe('')
  })

  it('warns of numbers that F16 cannot hold', async () => {
    const one = join(scratch, String(runs), 'one.safetensors')
    writeFileSync(one, writeSafetensors(new Map([['w', encode(Float32Array.of(1, 7e4, -1e9), 'f32', [3])]])))
    const { stderr } = await runCli(['average', one, '--dtype', 'f16', '-o', out])
    expect(stderr).toBe(
      'warning: 2 numbers of the result are infinite, F16 ends at 65504; use --dtype bf16 or --dtype f32\n',
    )
  })
})

describe('refusals are one message, and nothing is written', () => {
  const [target = '', source = ''] = models
  const file = (name: string, tensors: Record<string, RawTensor>) => {
    const path = join(scratch, String(runs), name)
    writeFileSync(path, writeSafetensors(new Map(Object.entries(tensors))))
    return path
  }
  const i32 = (...values: number[]) => encode(Int32Array.from(values), 'i32', [values.length])
  const f32 = (...values: number[]) => encode(Float32Array.from(values), 'f32', [values.length])

  it('a model that is averaged itself, unless it is said to', async () => {
    const [one, other] = [file('one.safetensors', { w: f32(1, 2) }), file('other.safetensors', { w: f32(3, 6) })]
    const before = readFileSync(one)
    const link = join(scratch, String(runs), 'link.safetensors')
    symlinkSync(one, link)
    for (const path of [one, link]) {
      const argv = ['average', one, other, '-o', path]
      expect(await runCli(argv)).toMatchObject({
        exitCode: 2,
        stderr: `dfdt: average: ${path} exists; --force replaces it\n`,
      })
      expect(readFileSync(one)).toEqual(before)
    }
    expect(await runCli(['average', one, other, '-o', link, '--force'])).toMatchObject({ exitCode: 0 })
    expect(decode(read(one).tensors.get('w') ?? expect.unreachable(), 'f32')).toEqual(Float32Array.of(2, 4))
  })

  it('every difference of structure at once', async () => {
    const one = file('one', { w: f32(1, 2), 'b.x': f32(1), n: i32(1), s: f32(1, 2) })
    const other = file('other', { w: f32(1, 2, 3), extra: f32(1), n: f32(1), s: f32(1, 2) })
    const { exitCode, stderr } = await runCli(['average', one, other, '-o', out])
    expect(exitCode).toBe(1)
    expect(stderr.replaceAll(join(scratch, String(runs), '/'), '')).toBe(
      'dfdt: average: the files do not hold the same model; nothing was written:\n' +
        '  other has no "b.x" (F32 [1])\n' +
        '  other has "extra" (F32 [1]), which one has not\n' +
        '  "w" is F32 [2] in one but F32 [3] in other\n' +
        '  "n" is I32 [1] in one but F32 [1] in other\n',
    )
    expect(existsSync(out)).toBe(false)
  })

  it('types that cannot be averaged', async () => {
    const eight = file('eight', { w: { dtype: 'F8_E4M3', shape: [2], bytes: Uint8Array.of(1, 2) } })
    const { stderr } = await runCli(['average', eight, eight, '-o', out])
    expect(stderr).toContain('"w" is F8_E4M3, which cannot be averaged; convert it to BF16, F16, F32 or F64 first')
  })

  it('integers that differ, unless it is said whose to take', async () => {
    const one = file('one', { n: i32(1), w: f32(1), same: i32(7) })
    const other = file('other', { n: i32(2), w: f32(3), same: i32(7) })
    const { exitCode, stderr } = await runCli(['average', one, other, '-o', out])
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr:
        'dfdt: average: integers are copied, never averaged, and these differ between the files; ' +
        'say whose to take with --integers first or --integers last:\n  "n" (I32)\n',
    })
    for (const [which, value] of [
      ['first', 1],
      ['last', 2],
    ] as const) {
      await runCli(['average', one, other, '-o', out, '--integers', which, '--force'])
      expect([...(read().tensors.get('n')?.bytes ?? [])][0]).toBe(value)
    }
  })

  it.each([
    [['average', '-o', 'x.safetensors'], 2, "missing required argument 'files'"],
    [['average', target], 2, "required option '-o, --output <path>' not specified"],
    [['average', target, '-o', 'x.bin'], 2, 'it must end in .safetensors, or be a directory that exists'],
    [
      ['average', target, '-o', 'x.safetensors.index.json'],
      2,
      'name the directory that the shards and their index go to',
    ],
    [['average', target, '-o', '/no/such/x.safetensors'], 1, 'the directory /no/such does not exist; create it first'],
    [['average', target, '-o', 'x.safetensors', '--alpha', '.5'], 2, '--alpha is between two files, got 1 file'],
    [['average', target, '-o', 'x.safetensors', '--slerp', '1.5'], 2, 'It must be a number from 0 to 1'],
    [['average', target, '-o', 'x.safetensors', '--alpha', '.5', '--slerp', '.5'], 2, 'cannot be used with option'],
    [
      ['average', target, '-o', 'x.safetensors', '--weights', '1,2'],
      2,
      'one number for each file, got 2 numbers for 1 file',
    ],
    [['average', target, source, '-o', 'x.safetensors', '--weights', '1,-1'], 2, 'divided by their sum, which is 0'],
    [['average', target, '-o', 'x.safetensors', '--weights', '1,,2'], 2, 'numbers with commas between them'],
    [['average', target, '-o', 'x.safetensors', '--dtype', 'int8'], 2, 'one of f32, f16, bf16, f64'],
    [['average', target, '-o', 'x.safetensors', '--steps', '1'], 2, 'belong to --sigma-rel'],
    [['average', target, '-o', 'x.safetensors', '--sigma-rel', '.1'], 2, 'does not say its step'],
    [['average', target, '-o', 'x.safetensors', '--sigma-rel', '.1', '--steps', '5'], 2, 'does not say its width'],
    [
      ['average', target, '-o', 'x.safetensors', '--sigma-rel', '.4', '--steps', '5', '--sigma-rels', '.1'],
      1,
      'at most 0.3, got 0.4',
    ],
    [
      ['average', target, golden, '-o', 'x.safetensors'],
      1,
      'the directory holds several models (a.safetensors, b.safetensors',
    ],
    [['average', 'none', '-o', 'x.safetensors'], 1, 'none: there is no such file; check the path'],
    [
      ['ema', '--target', target, '--source', source, '-o', 'x.safetensors'],
      2,
      'one of --decay, --tau and --half-life',
    ],
    [
      ['ema', '--target', target, '-o', 'x.safetensors', '--decay', '.9'],
      2,
      "required option '--source <file>' not specified",
    ],
    [
      ['ema', '--target', target, '--source', source, '-o', 'x.safetensors', '--decay', '.9', '--tau', '.1'],
      2,
      'cannot be used with',
    ],
    [['diff', target], 2, "missing required argument 'b'"],
    [['inspect', '/dev/null'], 1, 'it is a device or pipe, expected a file'],
    [['inspect', fileURLToPath(import.meta.url)], 1, 'the file is another format or damaged'],
  ])('%j', async (argv, exitCode, message) => {
    const ended = await runCli(argv)
    expect(ended.stderr).toMatch(/^dfdt: [^\n]+\n$/)
    expect(ended.stderr).toContain(message)
    expect(ended).toMatchObject({ exitCode, stdout: '' })
    expect(existsSync('x.safetensors')).toBe(false)
  })

  it('files that people take for safetensors are called by their names', async () => {
    const begin = (name: string, ...bytes: number[]) => {
      const path = join(scratch, String(runs), name)
      writeFileSync(
        path,
        Uint8Array.from({ length: 200 }, (_, i) => bytes[i] ?? 0xff),
      )
      return path
    }
    const pointer = begin('pointer', ...new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\n'))
    expect((await runCli(['inspect', pointer])).stderr).toContain(
      'it is a pointer that Git LFS left in the place of the file',
    )
    const zip = begin('zip', 0x50, 0x4b, 3, 4)
    expect((await runCli(['inspect', zip])).stderr).toContain('it is a zip archive, such as torch.save writes')
    const pickle = begin('pickle', 0x80, 2, 0x8a, 0x0a)
    expect((await runCli(['inspect', pickle])).stderr).toContain('it is a Python pickle')
  })

  it('an index and files that disagree', async () => {
    const into = join(scratch, String(runs))
    for (const name of readdirSync(sharded)) copyFileSync(join(sharded, name), join(into, name))
    const index = join(into, 'model.safetensors.index.json')
    const text = readFileSync(index, 'utf8')
    writeFileSync(
      index,
      text.replace(/"mask": "model-00001/, '"mask": "model-00002').replace('"layers.0.bias"', '"other"'),
    )
    const { stderr } = await runCli(['inspect', into])
    expect(stderr).toContain('the index and its files disagree; fetch the model again:\n')
    expect(stderr).toContain(
      'model-00001-of-00002.safetensors has "mask", which the index says is in model-00002-of-00002',
    )
    expect(stderr).toContain('model-00002-of-00002.safetensors has "layers.0.bias", which the index does not know')
    expect(stderr).toContain('model-00002-of-00002.safetensors has no "other"')
    rmSync(join(into, 'model-00001-of-00002.safetensors'))
    writeFileSync(index, text)
    expect((await runCli(['inspect', into])).stderr).toContain(
      'model-00001-of-00002.safetensors: there is no such file',
    )
  })
})

describe('inspect', () => {
  it('lists tensors and metadata, for people and for programs', async () => {
    const { stdout } = await runCli(['inspect', models[0] ?? ''])
    expect(stdout).toMatch(
      /^.*a\.safetensors: 9 tensors, 1 I64, 12 F64, 161 F32, 33 BF16, 35 F16, 3 BOOL, 1\.6 kB\n\nmetadata\n {2}format {2}pt\n\n/,
    )
    expect(stdout).toContain('layers.0.weight               F32    [16, 9]       144    576\n')
    const { stdout: json } = await runCli(['inspect', sharded, '--json'])
    const { tensors, metadata, files } = JSON.parse(json)
    expect(metadata).toEqual({ format: 'pt' })
    expect(files).toHaveLength(2)
    expect(tensors).toContainEqual(
      expect.objectContaining({ name: 'mask', dtype: 'BOOL', shape: [3], elements: 3, bytes: 3, file: files[0] }),
    )
  })

  it('fits a terminal, and leaves names whole elsewhere', async () => {
    const long = `${'layers.attention.'.repeat(8)}weight`
    const path = join(scratch, String(runs), 'long.safetensors')
    writeFileSync(
      path,
      writeSafetensors(new Map([[long, encode(Float32Array.of(1), 'f32', [1])]]), {
        note: 'x'.repeat(300),
        'a\n': '\u001b[2J',
      }),
    )
    const { stdout } = await runCli(['inspect', path], { terminal: true, columns: 80 })
    for (const text of stdout.split('\n').slice(1)) expect(text.length).toBeLessThanOrEqual(80)
    expect(stdout).toContain('…')
    // Text from a file must not move the cursor.
    expect(stdout).not.toContain('\u001b')
    expect((await runCli(['inspect', path])).stdout).toContain(long)
  })
})

describe('diff', () => {
  it('says how far two models are apart', async () => {
    const { exitCode, stdout } = await runCli(['diff', models[0] ?? '', sharded])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^tensor +dtype +shape +\|a-b\|\/\|a\| +max \|a-b\| +cosine$/m)
    expect(stdout).toMatch(/^mask +BOOL +\[3\] +equal$/m)
    expect(stdout).toMatch(/^6 of 9 tensors differ; all floats: \|a-b\|\/\|a\| 1\.\d\d, cosine -?0\.\d{6}$/m)
  })

  it('measures as NumPy does', async () => {
    const { stdout } = await runCli(['diff', models[0] ?? '', models[1] ?? '', '--json'])
    const { tensors } = JSON.parse(stdout)
    const [first, second] = [read(models[0]).tensors, read(models[1]).tensors]
    for (const { name, distance, relative, largest, cosine, norms } of tensors) {
      const [x, y] = [first.get(name), second.get(name)]
      if (!x || !y || steps[x.dtype] === undefined || x.bytes.length === 0) continue
      const [u, v] = [[...decode(x, 'f64')], [...decode(y, 'f64')]]
      const gaps = u.map((value, i) => value - (v[i] ?? 0))
      expect(distance).toBeCloseTo(Math.hypot(...gaps), 12)
      expect(relative).toBeCloseTo(Math.hypot(...gaps) / Math.hypot(...u), 12)
      expect(largest).toBe(Math.max(...gaps.map(Math.abs)))
      expect(norms[1]).toBeCloseTo(Math.hypot(...v), 12)
      const dot = u.reduce((sum, value, i) => sum + value * (v[i] ?? 0), 0)
      expect(cosine).toBeCloseTo(dot / Math.hypot(...u) / Math.hypot(...v), 12)
    }
  })

  it('tells what cannot be compared, and counts what is not finite', async () => {
    const [x, y] = ['x', 'y'].map((name) => join(scratch, String(runs), name))
    const f32 = (...values: number[]) => encode(Float32Array.from(values), 'f32', [values.length])
    const big = (value: bigint): RawTensor => ({
      dtype: 'I64',
      shape: [1],
      bytes: new Uint8Array(BigInt64Array.of(value).buffer),
    })
    writeFileSync(
      x ?? '',
      writeSafetensors(
        new Map([
          ['w', f32(3, Number.NaN, 4)],
          ['only', f32(1)],
          ['s', f32(1)],
          ['n', big(3n)],
        ]),
      ),
    )
    writeFileSync(
      y ?? '',
      writeSafetensors(
        new Map([
          ['w', f32(3, Number.NaN, 5)],
          ['new', f32(1)],
          ['s', f32(1, 2)],
          ['n', big(5n)],
        ]),
      ),
    )
    const { stdout } = await runCli(['diff', x ?? '', y ?? ''])
    expect(stdout).toMatch(/^w +F32 +\[3\] +0\.200 +1\.00 +0\.994\d+ +1, 1$/m)
    expect(stdout).toMatch(/^n +I64 +\[1\] +0\.667 +2\.00 +1\.000000$/m)
    expect(stdout).toContain(`only in ${x}: "only" (F32 [1])\n`)
    expect(stdout).toContain(`only in ${y}: "new" (F32 [1])\n`)
    expect(stdout).toContain('shapes differ: "s" is F32 [1] and F32 [2]\n')
    expect(stdout).toContain('2 of 2 tensors differ; 3 cannot be compared')
    const same = await runCli(['diff', x ?? '', x ?? ''])
    expect(same.stdout).toMatch(/\n0 of 4 tensors differ\n$/)
  })
})

describe('what people read', () => {
  it('bytes', () => {
    expect([0, 1, 999, 1000, 999_949, 999_950, 13_476_839_424, 1e15].map(bytesText)).toEqual([
      ...['0 bytes', '1 byte', '999 bytes', '1.0 kB', '999.9 kB', '1.0 MB', '13.5 GB', '1000.0 TB'],
    ])
  })

  it.each([200, 80, 60, 40, 30, 20, 12, 5])('a line of progress within %i columns', (width) => {
    for (const state of [
      { done: 0, total: 8e9, rate: 0 },
      { done: 3.1e9, total: 8e9, rate: 6.4e8 },
      { done: 9e9, total: 8e9, rate: 1 },
    ])
      expect(bytesLine(state, width).length).toBeLessThan(width)
    expect(bytesLine({ done: 3.1e9, total: 8e9, rate: 6.4e8 }, 100)).toBe(
      `${'█'.repeat(16)}${'░'.repeat(24)}  3.1 GB of 8.0 GB  640.0 MB/s  0:08 left`,
    )
  })

  it('a table whose first column gives way', () => {
    const columns = [
      { head: 'name', align: 'left' },
      { head: 'n', align: 'right' },
    ] as const
    const rows = [
      ['a'.repeat(30), '5'],
      ['b', '1,000'],
    ]
    expect(tableLines(columns, rows, 22)).toEqual([
      'name                 n',
      'aaaaaaa…aaaaaaa      5',
      'b                1,000',
    ])
    expect(tableLines(columns, rows)[1]).toBe(`${'a'.repeat(30)}      5`)
  })

  it('a bar on a terminal, and nothing but the result elsewhere', async () => {
    const shown = await runCli(['average', ...models, '-o', out], { terminal: true, columns: 80 })
    expect(shown.stderr).toContain('█')
    expect(shown.stdout).not.toContain('█')
    const { stderr } = await runCli(['average', ...models, '-o', out, '--force'])
    expect(stderr).toBe('')
  })
})

describe('Ctrl-C', () => {
  // Two levels below the root, as dist/cli is: the program finds its package.json from there.
  const program = fileURLToPath(new URL('../../.cache/cli-test/files.mjs', import.meta.url))

  beforeAll(async () => {
    const input = fileURLToPath(new URL('fake-main.ts', import.meta.url))
    // The wasm backend is found in the build, which a fresh checkout has not.
    await buildLibrary()
    const bundle = await rolldown({ input, platform: 'node', external: /^(node:|[a-z@])/ })
    await bundle.write({ file: program, format: 'esm', codeSplitting: false })
    await bundle.close()
  })

  /** A large model of zeros, which takes no room on the disk. */
  function sparse(path: string, elements: number): void {
    const plan = planSafetensors([{ name: 'w', dtype: 'F32', shape: [elements] }], {})
    const file = openSync(path, 'w')
    writeSync(file, plan.head)
    ftruncateSync(file, plan.byteLength)
    closeSync(file)
  }

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s leaves nothing behind, and the previous file as it was', async (signal, exitCode) => {
    const directory = join(scratch, String(runs))
    const [x, y] = ['x.safetensors', 'y.safetensors'].map((name) => join(directory, name))
    for (const path of [x, y]) sparse(path ?? '', 2 ** 28)
    writeFileSync(out, 'previous')
    const argv = ['average', x ?? '', y ?? '', '-o', out, '--force', '--accumulate', 'f64']
    const child: ChildProcess = spawn(process.execPath, [program, ...argv])
    let stderr = ''
    child.stderr?.on('data', (chunk) => {
      stderr += chunk
    })
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    const writes = () => readdirSync(directory).some((name) => name.endsWith('.tmp'))
    while (!writes() && child.exitCode === null) await new Promise((r) => setTimeout(r, 5))
    child.kill(signal)
    expect(await ended).toBe(exitCode)
    expect(stderr).toBe('Stopped; nothing was written.\n')
    expect(readdirSync(directory).sort()).toEqual(['out.safetensors', 'x.safetensors', 'y.safetensors'])
    expect(readFileSync(out, 'utf8')).toBe('previous')
  })
})
