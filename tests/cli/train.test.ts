import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ShapeError } from '../../src/tensor/errors.js'
import type { MnistJob, MnistOptions } from '../../src/train/events.js'
import { fakeJob } from './fake-job.js'
import { runCli } from './run-cli.js'
import { writeTinyMnist } from './tiny-mnist.js'

let scratch = ''
let data = ''
let out = ''
let runs = 0

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'dfdt-cli-'))
  data = join(scratch, 'data')
  mkdirSync(data)
  writeTinyMnist(data)
})
beforeEach(() => {
  out = join(scratch, `run-${runs++}`)
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const files = ['metrics.jsonl', 'report.html', 'student.safetensors', 'teacher.safetensors']

describe('train, read by a person', () => {
  it('shows the model, a line per epoch, and where the files went', async () => {
    const { exitCode, stdout, stderr } = await runCli(['--data', data, '--out', out, '--epochs', '2', '--decay', '0.9'])
    expect(exitCode).toBe(0)
    expect(stderr).toBe('')
    expect(stdout).toContain('0  linear      [32, 512]       401 920')
    expect(stdout).toContain(
      '640 images, 2 epochs, 40 steps of 32\nseed 1, Adam at 0.001, teacher decay 0.9\nfake, 1 thread\n',
    )
    expect(stdout).toMatch(/^ +student +teacher\nepoch +loss +accuracy +loss +accuracy +time$/m)
    expect(stdout).toMatch(/^ {2}1\/2 +0\.3001 +92\.00 % +0\.2501 +94\.00 % {2,}0:00$/m)
    expect(stdout).toMatch(/^ {2}2\/2 +0\.1501 +96\.00 % +0\.1251 +97\.00 % {2,}0:00$/m)
    for (const file of files) expect(stdout).toContain(join(out, file))
    expect(readdirSync(out).sort()).toEqual(files)
  })

  it('fits 60 columns', async () => {
    const { stdout } = await runCli(['--data', data, '--out', out, '--epochs', '12'])
    for (const line of stdout.split('\n').filter((text) => !text.includes(out) && !text.startsWith('The teacher')))
      expect(line.length).toBeLessThan(60)
  })

  it('says when the teacher lags, and only then', async () => {
    const lagging = await runCli(['--data', data, '--out', out, '--epochs', '1'])
    expect(lagging.stdout).toContain('The teacher lags: after 20 steps it still carries 98 % of its random start')
    const following = await runCli(['--data', data, '--out', out, '--epochs', '6', '--decay', '0.9'])
    expect(following.stdout).not.toContain('lags')
  })

  it('passes every flag on to the job', async () => {
    let seen: MnistOptions | undefined
    const job: MnistJob = {
      ...fakeJob(),
      train: async (digits, options, listener) => {
        seen = options
        return fakeJob().train(digits, options, listener)
      },
    }
    const flags = '--epochs 2 --batch 16 --seed 9 --limit 160 --lr 1e-2 --decay .5 --threads 2'.split(' ')
    const { threads } = await runCli([...flags, '--data', data, '--out', out], { job })
    expect(threads).toBe(2)
    expect(seen).toEqual({ epochs: 2, batch: 16, seed: 9, limit: 160, lr: 0.01, decay: 0.5 })
    await runCli(['train', '--data', data, '--out', out], { job })
    expect(seen).toEqual({
      epochs: 3,
      batch: 32,
      seed: 1,
      limit: undefined,
      lr: 0.001,
      decay: 0.999,
    })
  })
})

/** Everything that moves a cursor or colours text, carriage returns too. */
const controlCharacters = (text: string) => [...text].filter((character) => character < ' ' && character !== '\n')

describe('the output where it is not a terminal', () => {
  it('has no escape codes and no carriage returns', async () => {
    const { stdout, stderr } = await runCli(['--data', data, '--out', out])
    expect(controlCharacters(stdout + stderr)).toEqual([])
  })

  it('nor has a terminal that says it is dumb', async () => {
    const { stdout, stderr } = await runCli(['--data', data, '--out', out], { terminal: true, env: { TERM: 'dumb' } })
    expect(controlCharacters(stdout + stderr)).toEqual([])
  })
})

describe('the output on a terminal', () => {
  const job = fakeJob({ millisecondsAStep: 8 })

  it('draws a bar on stderr only, and takes it away', async () => {
    const { stdout, stderr } = await runCli(['--data', data, '--out', out], { job, terminal: true, columns: 80 })
    expect(stderr).toContain('█')
    expect(stderr).toMatch(/loss \d\.\d{4}/)
    expect(stdout).not.toMatch(/█|\r/)
    // The last thing on stderr clears the line.
    expect(stderr.endsWith('\x1b[2K')).toBe(true)
    // What a terminal was told it must be told back: no hidden cursor, no switched-off wrapping.
    for (const code of ['?25l', '?7l']) expect(stderr).not.toContain(`\x1b[${code}`)
  })

  it('has no colours with NO_COLOR', async () => {
    const bold = '\x1b[1m'
    const plain = await runCli(['--data', data, '--out', out], { terminal: true, env: { NO_COLOR: '1' } })
    expect(plain.stdout + plain.stderr).not.toContain(bold)
    const coloured = await runCli(['--data', data, '--out', out], { terminal: true })
    expect(coloured.stdout).toContain(bold)
  })
})

describe('train --json', () => {
  const flags = '--epochs 1 --batch 32 --seed 7 --limit 320 --decay 0.99 --json'.split(' ')

  it('writes one JSON object to stdout and nothing else', async () => {
    const { exitCode, stdout, stderr } = await runCli([...flags, '--data', data, '--out', out])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^\{[^\n]*\}\n$/)
    const summary = JSON.parse(stdout)
    expect(Object.keys(summary)).toEqual([
      ...['job', 'seed', 'epochs', 'steps', 'student', 'teacher', 'seconds', 'stepsPerSecond', 'parameters', 'files'],
    ])
    expect(summary).toMatchObject({
      ...{ job: 'mnist', seed: 7, epochs: 1, steps: 10, parameters: 472042 },
      student: { loss: expect.closeTo(0.3007, 9), accuracy: 0.92 },
      teacher: { loss: expect.closeTo(0.2507, 9), accuracy: 0.94 },
    })
    expect(Object.keys(summary.student)).toEqual(['loss', 'accuracy'])
    expect(summary.seconds).toBeGreaterThan(0)
    expect(summary.stepsPerSecond).toBeGreaterThan(0)
    expect(summary.files.sort()).toEqual(files.map((file) => join(out, file)))
    for (const file of summary.files) expect(existsSync(file)).toBe(true)
    expect(stderr).toContain('accuracy')
  })

  it('says the same for the same seed but for the time', async () => {
    const [first, second] = await Promise.all(
      ['a', 'b'].map((name) => runCli([...flags, '--data', data, '--out', join(out, name)])),
    )
    const lasting = (text = '') => ({ ...JSON.parse(text), seconds: 0, stepsPerSecond: 0, files: [] })
    expect(lasting(first?.stdout)).toEqual(lasting(second?.stdout))
  })

  it('writes nothing to stdout when the run fails', async () => {
    const { exitCode, stdout } = await runCli([...flags, '--data', join(scratch, 'nowhere')])
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
  })
})

describe('metrics.jsonl', () => {
  it('holds the options, then losses and scores in the order of their steps', async () => {
    await runCli(['--data', data, '--out', out, '--epochs', '2', '--seed', '5'])
    const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines[0]).toMatchObject({ job: 'mnist', seed: 5, epochs: 2, steps: 40, trainImages: 640, testImages: 100 })
    const steps = lines.slice(1).map(({ step }) => step)
    expect(steps).toEqual([...steps].sort((a, b) => a - b))
    const epochs = lines.filter(({ epoch }) => epoch !== undefined)
    expect(epochs.map(({ epoch, step, teacher }) => [epoch, step, teacher.accuracy])).toEqual([
      [1, 20, 0.94],
      [2, 40, 0.97],
    ])
    expect(lines.filter(({ trainLoss }) => trainLoss > 0)).toHaveLength(40)
  })
})

describe('a run that fails is one line on stderr, exit code 1', () => {
  it('no such data', async () => {
    const { exitCode, stdout, stderr, jobsLoaded } = await runCli(['--data', join(scratch, 'nowhere')])
    expect(stderr).toMatch(/^dfdt: [^\n]*nowhere[^\n]*train-images-idx3-ubyte[^\n]*--data DIR\n$/)
    expect({ exitCode, stdout, jobsLoaded }).toEqual({ exitCode: 1, stdout: '', jobsLoaded: 0 })
  })

  it('damaged data', async () => {
    const damaged = join(scratch, 'damaged')
    mkdirSync(damaged)
    writeTinyMnist(damaged)
    writeFileSync(
      join(damaged, 't10k-labels-idx1-ubyte'),
      readFileSync(join(data, 't10k-labels-idx1-ubyte')).subarray(0, 50),
    )
    const { exitCode, stderr } = await runCli(['--data', damaged, '--out', out])
    expect(stderr).toMatch(/^dfdt: [^\n]*t10k-labels-idx1-ubyte[^\n]*\n$/)
    expect(exitCode).toBe(1)
    expect(existsSync(out)).toBe(false)
  })

  it('a file where the directory should be', async () => {
    writeFileSync(out, '')
    for (const path of [out, join(out, 'below')]) {
      const { exitCode, stderr } = await runCli(['--data', data, '--out', path])
      expect(stderr).toMatch(/^dfdt: [^\n]*run-\d+[^\n]*choose another --out\n$/)
      expect(exitCode).toBe(1)
    }
  })

  it('an error of the library shows its message and no stack; any other shows its stack', async () => {
    const failing = (error: Error): MnistJob => ({ ...fakeJob(), train: () => Promise.reject(error) })
    const known = await runCli(['--data', data, '--out', out], { job: failing(new ShapeError('linear: got [3, 2]')) })
    expect(known).toMatchObject({ exitCode: 1, stderr: 'dfdt: linear: got [3, 2]\n' })
    const unknown = await runCli(['--data', data, '--out', out], { job: failing(new TypeError('x is undefined')) })
    expect(unknown.exitCode).toBe(1)
    expect(unknown.stderr).toMatch(/unexpected error\nTypeError: x is undefined\n +at /)
  })
})

describe('eval', () => {
  it('prints loss and accuracy', async () => {
    const file = `${out}.safetensors`
    writeFileSync(file, new Uint8Array(16))
    const { exitCode, stdout, stderr } = await runCli(['eval', file, '--data', data])
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toContain('teacher: loss 0.0594, accuracy 98.20 % on 100 test images\n')
    const json = await runCli(['eval', file, '--data', data, '--json'])
    expect(json.stdout).toMatch(/^\{[^\n]*\}\n$/)
    expect(JSON.parse(json.stdout)).toEqual({
      ...{ job: 'mnist', file, role: 'teacher', loss: 0.0594, accuracy: 0.982, images: 100, parameters: 472042 },
    })
  })

  it('a missing or damaged file is one line that names it, exit code 1', async () => {
    const missing = await runCli(['eval', `${out}.safetensors`, '--data', data])
    expect(missing.stderr).toMatch(/^dfdt: [^\n]*run-\d+\.safetensors: there is no such file[^\n]*\n$/)
    expect(missing).toMatchObject({ exitCode: 1, stdout: '', jobsLoaded: 0 })
    writeFileSync(`${out}.safetensors`, new Uint8Array(3))
    const damaged = await runCli(['eval', `${out}.safetensors`, '--data', data])
    expect(damaged.stderr).toMatch(/^dfdt: [^\n]*cut short[^\n]*\n$/)
    expect(damaged).toMatchObject({ exitCode: 1, stdout: '' })
  })
})
