import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { defaultDevice, manualSeed, ones, setDefaultDevice } from 'dfdt'
import { loadCheckpoint, parseSafetensors, saveCheckpoint, saveModelSync, writeSafetensors } from 'dfdt/io'
import { linear } from 'dfdt/nn'
import { adam, sgd } from 'dfdt/optim'
import { defineRule, ema, follow, type Schedule, schedules, swa, type UpdateRule } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { FormatError, OptionError, ShapeError } from '../../src/tensor/errors.js'
import { devices } from '../devices.js'
import { buildLibrary, root } from '../meta/built-library.js'

const stateOf = (model: object) =>
  Object.fromEntries(tensorsOf(model).map(({ path, tensor: t }) => [path, [...t.dataSync()]]))

const weighted = (share: Schedule) =>
  defineRule({
    name: 'weighted',
    scalars: { share },
    next: ({ target, source }, { share: tau }) => ({ target: tau.fma(source.sub(target), target) }),
  })

describe.each(devices)('checkpoints on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  function training() {
    manualSeed(1)
    const model = linear(3, 2)
    const optimizer = adam(model, { lr: 0.1 })
    const teacher = follow(model, ema({ decay: 0.5 }))
    const step = () => {
      optimizer.step(
        model
          .forward(ones([1, 3]).trace())
          .square()
          .sum()
          .backward(),
      )
      teacher.update()
    }
    return { model, optimizer, teacher, step }
  }

  test('a training goes on bit for bit, random numbers included', async () => {
    const { step, ...parts } = training()
    step()
    step()
    const file = await saveCheckpoint({ ...parts, device: defaultDevice() }, { epoch: '2' })
    step()
    const after = [stateOf(parts.model), stateOf(parts.teacher.model), defaultDevice().generator.state()]
    const { step: stepAgain, ...again } = training()
    defaultDevice().generator.next()
    expect(loadCheckpoint({ ...again, device: defaultDevice() }, file)).toEqual({ epoch: '2' })
    expect([again.optimizer.steps, again.teacher.updates]).toEqual([2, 2])
    stepAgain()
    expect([stateOf(again.model), stateOf(again.teacher.model), defaultDevice().generator.state()]).toEqual(after)
    expect([...parseSafetensors(file).tensors.keys()]).toContain('optimizer/weight#m')
  })

  test('nothing is written unless all of it fits', async () => {
    const { step, ...parts } = training()
    step()
    const file = await saveCheckpoint(parts)
    const fresh = () => {
      const { step: _, ...others } = training()
      return others
    }
    const refused = (
      others: Record<string, object>,
      kind: new (...args: never[]) => Error,
      message: string | RegExp,
    ) => {
      const before = stateOf(others.model as object)
      expect(() => loadCheckpoint(others as never, file)).toThrow(kind)
      expect(() => loadCheckpoint(others as never, file)).toThrow(message)
      expect(stateOf(others.model as object)).toEqual(before)
    }
    const swapped = fresh()
    refused({ ...swapped, optimizer: sgd(swapped.model) }, OptionError, '"name" is sgd here but adam in the state')
    refused({ ...swapped, teacher: follow(swapped.model, swa()) }, OptionError, 'a shadow that follows otherwise')
    refused({ ...swapped, teacher: swapped.optimizer }, OptionError, 'no state of the kind "optimizer": shadow')
    refused({ model: swapped.model, optimizer: swapped.optimizer }, OptionError, 'the file has a part "teacher"')
    refused({ ...swapped, other: swapped.model }, OptionError, 'the file has no part "other"')
    const wide = linear(4, 2)
    refused({ model: wide, optimizer: adam(wide), teacher: follow(wide, ema({ decay: 0.5 })) }, ShapeError, /\[2, 3\]/)
  })

  test('another schedule is another shadow, unless it is a function without a name', async () => {
    const own = (n: number) => 1 / (n + 2)
    const rules: [said: string, rule: UpdateRule, other: UpdateRule | undefined][] = [
      [
        'ema decay cosine(0.5 → 1 over 10)',
        ema({ decay: schedules.cosine(0.5, 1, 10) }),
        ema({ decay: schedules.cosine(0.6, 1, 10) }),
      ],
      [
        'ema tau mine of 2',
        ema({ tau: schedules.named('mine of 2', own) }),
        ema({ tau: schedules.named('mine of 3', own) }),
      ],
      ['ema tau mine of 2', ema({ tau: schedules.named('mine of 2', own) }), ema({ tau: own })],
      ['ema tau by a function of its own', ema({ tau: own }), ema({ decay: own })],
      ['ema tau by a function of its own', ema({ tau: own }), undefined],
      ['weighted share linear(0 → 1 over 5)', weighted(schedules.linear(0, 1, 5)), weighted(schedules.linear(0, 1, 6))],
    ]
    for (const [said, rule, other] of rules) {
      const make = (one: UpdateRule) => {
        const model = linear(2, 1)
        return { model, teacher: follow(model, one) }
      }
      const file = await saveCheckpoint(make(rule))
      loadCheckpoint(make(rule), file)
      if (!other) {
        loadCheckpoint(make(ema({ tau: (n) => 1 / (n + 5) })), file)
        continue
      }
      const parts = make(other)
      const before = stateOf(parts.model)
      const load = () => loadCheckpoint(parts, file)
      expect(load).toThrow(OptionError)
      expect(load).toThrow(`but ${said} in the state`)
      expect(stateOf(parts.model)).toEqual(before)
    }
  })

  test('damaged and other files', async () => {
    const { step, ...parts } = training()
    step()
    const file = await saveCheckpoint(parts)
    expect(() => loadCheckpoint(parts, saveModelSync(parts.model))).toThrow('is no checkpoint')
    for (const text of ['{', '3', '{"model":3,"optimizer":{},"teacher":{}}']) {
      const { tensors } = parseSafetensors(file)
      const broken = writeSafetensors(new Map(tensors), { 'dfdt.checkpoint': text })
      expect(() => loadCheckpoint(parts, broken, { path: 'run.safetensors' })).toThrow(FormatError)
    }
    await expect(saveCheckpoint({ 'a/b': parts.model })).rejects.toThrow(OptionError)
    await expect(parts.teacher.evaluateWith(() => saveCheckpoint(parts))).rejects.toThrow(OptionError)
  })

  // A decay of 0 keeps exp(-Infinity), which JSON has no number for.
  test.each([0.9, 0])('a lazy shadow is saved with what it has put off, at decay %d', async (decay) => {
    const make = () => {
      manualSeed(2)
      const model = linear(2, 2)
      return { model, teacher: follow(model, ema({ decay: schedules.named(`${decay}`, () => decay) }), { lazy: true }) }
    }
    const a = make()
    a.teacher.update()
    a.teacher.update()
    const file = await saveCheckpoint(a)
    const b = make()
    loadCheckpoint(b, file)
    const log = 2 * Math.log1p(decay - 1)
    expect((await a.teacher.state()).pending).toEqual([
      { count: 2, log },
      { count: 2, log },
    ])
    expect((await b.teacher.state()).pending).toEqual((await a.teacher.state()).pending)
  })
})

test('a killed training goes on where it was, for every rule', async () => {
  await buildLibrary()
  const folder = mkdtempSync(join(tmpdir(), 'dfdt-checkpoint-'))
  const steps = 14
  /** Trains until the end, or until so many steps are done, when it is killed; whether it came to the end. */
  const train = (file: string, kill = Number.POSITIVE_INFINITY) =>
    new Promise<boolean>((resolve, reject) => {
      const script = join(root, 'tests/io/checkpoint-training.mjs')
      const child = spawn(execPath, [script, join(root, 'dist'), file, String(steps)], {
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let [done, errors] = [0, '']
      child.stdout.on('data', (chunk: Buffer) => {
        done += String(chunk).split('\n').length - 1
        if (done >= kill) child.kill('SIGKILL')
      })
      child.stderr.on('data', (chunk: Buffer) => {
        errors += String(chunk)
      })
      child.on('exit', (code, signal) => {
        if (code === 0) resolve(true)
        else if (signal === 'SIGKILL') resolve(false)
        else reject(new RangeError(errors))
      })
    })
  try {
    const [whole, broken] = [join(folder, 'whole.safetensors'), join(folder, 'broken.safetensors')]
    expect(await train(whole)).toBe(true)
    let kills = 0
    while (!(await train(broken, 4))) kills++
    expect(kills).toBeGreaterThan(0)
    /** All but the seconds that have passed. */
    const digest = (path: string) => {
      const { tensors, metadata } = parseSafetensors(readFileSync(path))
      const words = JSON.stringify(metadata).replaceAll(/\\"seconds\\":[0-9.e+-]+/g, '')
      const hash = createHash('sha256').update(words)
      for (const [name, { bytes }] of tensors) hash.update(name).update(bytes)
      return hash.digest('hex')
    }
    expect(digest(broken)).toBe(digest(whole))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}, 180_000)
