import { defaultDevice, manualSeed, ones, setDefaultDevice, wasmDevice } from 'dfdt'
import { loadCheckpoint, parseSafetensors, saveCheckpoint, writeSafetensors } from 'dfdt/io'
import { linear } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { ema, follow } from 'dfdt/update'
import fc from 'fast-check'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { DfdtError, FormatError } from '../../src/tensor/errors.js'

function training() {
  manualSeed(7)
  const model = linear(2, 2)
  const optimizer = adam(model, { lr: 0.1 })
  const teacher = follow(model, ema({ tau: 0.25 }), { lazy: true, every: 2, unit: 'sample' })
  teacher.observe({ epoch: 3, loss: 0.5 })
  return { model, optimizer, teacher, device: defaultDevice() }
}
type Training = ReturnType<typeof training>

function train({ model, optimizer, teacher }: Training): void {
  optimizer.step(
    model
      .forward(ones([1, 2]).trace())
      .square()
      .sum()
      .backward(),
  )
  for (let i = 0; i < 5; i++) teacher.update({ samples: 32 })
}

const key = 'dfdt.checkpoint'
type Words = Record<string, Record<string, unknown>>
let file: Uint8Array = new Uint8Array()
let words: Words = {}
beforeAll(async () => {
  setDefaultDevice(wasmDevice({ threads: 1 }))
  const parts = training()
  train(parts)
  file = await saveCheckpoint(parts)
  words = JSON.parse(parseSafetensors(file).metadata[key] ?? '')
})

/** The file with one field of its JSON changed; `undefined` takes it away. */
function edited(path: readonly (string | number)[], value: unknown): Uint8Array {
  const copy: unknown = structuredClone(words)
  const parent = path.slice(0, -1).reduce((node, name) => Reflect.get(Object(node), name), copy)
  const last = path.at(-1) ?? ''
  if (value === undefined) Reflect.deleteProperty(Object(parent), last)
  else Reflect.set(Object(parent), last, value)
  return writeSafetensors(new Map(parseSafetensors(file).tensors), { [key]: JSON.stringify(copy) })
}

const valuesOf = ({ model, device }: Training) => [
  ...tensorsOf(model).map(({ tensor }) => [...tensor.dataSync()]),
  device.generator.state(),
]
async function everything(parts: Training) {
  const { seconds: _, tensors, ...teacher } = await parts.teacher.state()
  const { steps } = await parts.optimizer.state()
  return { values: valuesOf(parts), teacher, steps, tensors: Object.keys(tensors) }
}

let fresh: Training
beforeEach(() => {
  fresh = training()
})

test.each<[path: readonly (string | number)[], value: unknown, message: RegExp]>([
  [['teacher', 'progress'], undefined, /progress\.steps is undefined, expected a whole number from 0/],
  [['teacher', 'progress'], [1, 2], /progress\.units is undefined, expected a finite number from 0/],
  [['teacher', 'progress', 'steps'], -1, /progress\.steps is -1, expected a whole number from 0/],
  [['teacher', 'progress', 'steps'], 1.5, /progress\.steps is 1\.5/],
  [['teacher', 'progress', 'steps'], '5', /progress\.steps is "5"/],
  [['teacher', 'progress', 'updates'], 6, /progress\.updates is 6, expected a number from 0 to 5/],
  [['teacher', 'progress', 'units'], '#Infinity', /progress\.units is Infinity, expected a finite number from 0/],
  [['teacher', 'progress', 'units'], '#NaN', /progress\.units is NaN/],
  [['teacher', 'progress', 'unitsBefore'], 161, /progress\.unitsBefore is 161, expected a number from 0 to 160/],
  [['teacher', 'observed'], null, /observed is null, expected numbers by name/],
  [['teacher', 'observed', 'loss'], 'low', /observed\.loss is "low", expected a number/],
  [['teacher', 'seconds'], -0.5, /seconds is -0\.5/],
  [['teacher', 'random', 'draws'], null, /random\.draws is null/],
  [['teacher', 'pending'], {}, /pending is \{\}, expected a list/],
  [['teacher', 'pending'], [], /the length of pending is 0, expected 2, one for each tensor that a lazy shadow blends/],
  [['teacher', 'pending', 1], undefined, /pending\[1\]\.count is undefined/],
  [['teacher', 'pending', 0, 'count'], -2, /pending\[0\]\.count is -2/],
  [['teacher', 'pending', 0, 'log'], 0.1, /pending\[0\]\.log is 0\.1, expected a number not above 0/],
  [['teacher', 'pending', 0, 'log'], '#NaN', /pending\[0\]\.log is NaN/],
  [['teacher', 'pending', 0], { count: 0, log: -1 }, /pending\[0\]\.log is -1, expected 0, as nothing is put off/],
  [['teacher', 'settings'], null, /settings is null, expected texts by name/],
  [['teacher', 'treatments', 'weight'], 3, /treatments is .*, expected texts by name/],
  [['optimizer', 'steps'], -1, /kind "optimizer" was damaged or edited; nothing was written.*\n {2}steps is -1/],
  [['optimizer', 'steps'], undefined, /steps is undefined, expected a whole number from 0/],
  [['device', 'seed'], 2 ** 60, /seed is 1152921504606847000, expected a whole number from 0/],
  [['device', 'draws'], undefined, /draws is undefined/],
])('%j of a checkpoint as %j', async (path, value, message) => {
  const before = await everything(fresh)
  const load = () => loadCheckpoint(fresh, edited(path, value))
  expect(load).toThrow(FormatError)
  expect(load).toThrow(message)
  expect(await everything(fresh)).toEqual(before)
})

test('whatever one field becomes: refused with nothing written, or loaded as it says', async () => {
  const paths: (string | number)[][] = []
  const visit = (node: unknown, path: (string | number)[]) => {
    if (path.length > 0) paths.push(path)
    if (typeof node !== 'object' || node === null) return
    for (const name of Object.keys(node)) visit(Reflect.get(node, name), [...path, Array.isArray(node) ? +name : name])
  }
  visit(words, [])
  expect(paths.length).toBeGreaterThan(40)
  let [refused, loaded] = [0, 0]
  const values = fc.oneof(
    fc.constantFrom('#NaN', '#Infinity', '#-Infinity', -1, 0, 1, 2 ** 53, 0.5, '', null, [], {}, undefined),
    fc.jsonValue({ maxDepth: 2 }),
    fc.integer(),
  )
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), values, async (path, value) => {
      const parts = training()
      const before = await everything(parts)
      try {
        loadCheckpoint(parts, edited(path, value))
      } catch (error) {
        refused++
        expect(error).toBeInstanceOf(DfdtError)
        expect(await everything(parts)).toEqual(before)
        return
      }
      loaded++
      // What is loaded is saved again, and goes on.
      const again = JSON.parse(parseSafetensors(await saveCheckpoint(parts)).metadata[key] ?? '')
      const said = JSON.parse(parseSafetensors(edited(path, value)).metadata[key] ?? '')
      for (const each of [again, said]) each.teacher.seconds = 'go on'
      expect(again).toMatchObject(said)
      train(parts)
      for (const values of valuesOf(parts).slice(0, 2)) expect(values).not.toContain(Number.NaN)
    }),
    { numRuns: 400 },
  )
  expect(Math.min(refused, loaded)).toBeGreaterThan(10)
})

test('states that callers without types give to load', async () => {
  const state = await fresh.teacher.state()
  const before = await everything(fresh)
  for (const wrong of [
    { ...state, tensors: undefined },
    { ...state, tensors: { ...state.tensors, weight: null } },
    { ...state, tensors: { ...state.tensors, weight: { ...state.tensors.weight, data: [1, 2, 3, 4] } } },
    { ...state, tensors: { ...state.tensors, weight: { ...state.tensors.weight, data: new Float32Array(3) } } },
    {
      ...state,
      tensors: { ...state.tensors, weight: { ...state.tensors.weight, data: new DataView(new ArrayBuffer(16)) } },
    },
    { ...state, tensors: { ...state.tensors, weight: { ...state.tensors.weight, shape: [2, Number.NaN] } } },
    JSON.parse(JSON.stringify(state)),
  ]) {
    expect(() => fresh.teacher.load(wrong as never)).toThrow(DfdtError)
    expect(await everything(fresh)).toEqual(before)
  }
  fresh.teacher.load(structuredClone(state))
})
