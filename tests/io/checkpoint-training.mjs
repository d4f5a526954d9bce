// A training that saves itself after every step and goes on where its file says; run by checkpoint.test.ts, which kills it.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { argv, stdout } from 'node:process'

const [, , dist, file, last] = argv
const { compile, defaultDevice, manualSeed, mse, normal, setDefaultDevice, wasmDevice, zeros } = await import(
  `${dist}/entry/index.js`
)
const { dropout, linear, relu, sequential } = await import(`${dist}/entry/nn.js`)
const { adam } = await import(`${dist}/entry/optim.js`)
const {
  copy,
  defineRule,
  elastic,
  ema,
  follow,
  lerp,
  lookahead,
  outerNesterov,
  powerEma,
  schedules,
  slerp,
  swa,
  switchEma,
} = await import(`${dist}/entry/update.js`)
const { loadCheckpoint, saveCheckpoint } = await import(`${dist}/entry/io.js`)

setDefaultDevice(wasmDevice({ threads: 1 }))
manualSeed(7)
const model = sequential(linear(3, 8), relu(), dropout(0.2), linear(8, 1))
const optimizer = adam(model, { lr: (step) => 0.1 / step })
/** A rule as users write them: a tensor of its own, a number that changes, a reduction. */
const heavy = defineRule({
  name: 'heavy',
  state: { velocity: 'zeros' },
  scalars: { rate: (n) => 1 / (n + 2) },
  measures: { largest: { combine: 'max', of: ({ target, source }) => source.sub(target).abs() } },
  next: ({ target, source, velocity }, { rate }, { largest }) => {
    const next = velocity.mul(0.5).add(source.sub(target).div(largest.add(1)))
    return { target: rate.fma(next, target), velocity: next }
  },
})
const shadows = {
  ema: follow(model, ema({ decay: 0.9 })),
  scheduled: follow(model, ema({ decay: schedules.inverse() }), { every: 2, after: 3 }),
  kahan: follow(model, ema({ decay: 0.999 }), { precision: 'kahan' }),
  lazy: follow(model, ema({ decay: 0.9 }), { lazy: true }),
  copy: follow(model, copy(), { every: 5 }),
  swa: follow(model, swa(), { after: 4 }),
  power: follow(model, powerEma({ sigmaRel: 0.1 })),
  slerp: follow(model, slerp(0.1)),
  lerp: follow(model, lerp(0.3), { every: 2 }),
  rounded: follow(model, ema({ decay: 0.99 }), { dtype: 'bf16', precision: 'stochastic' }),
  sampled: follow(model, ema({ halfLife: schedules.shareOfRun(0.1) }), { unit: 'sample' }),
  told: follow(model, ema({ decay: 0.9 }), { when: ({ step, last }) => step % 2 === 0 || (last.loss ?? 0) > 0.5 }),
  heavy: follow(model, heavy),
  lookahead: follow(model, lookahead(), { every: 3 }),
  switched: follow(model, switchEma({ decay: 0.5, period: 4 })),
  outer: follow(model, outerNesterov(), { every: 6 }),
  elastic: follow(model, elastic({ alpha: 0.1 }), { every: 5 }),
}
const parts = { model, optimizer, ...shadows, device: defaultDevice() }
const step = compile((x) => {
  const loss = mse(model.forward(x.trace()), zeros([4, 1]))
  optimizer.step(loss.backward())
  for (const shadow of Object.values(shadows)) shadow.update({ samples: 4 })
  return loss
})

let at = 0
if (existsSync(file)) at = Number(loadCheckpoint(parts, readFileSync(file)).step)
while (at < Number(last)) {
  shadows.told.observe({ loss: step(normal([4, 3])).itemSync() })
  at++
  const bytes = await saveCheckpoint(parts, { step: String(at) })
  writeFileSync(`${file}.new`, bytes)
  renameSync(`${file}.new`, file)
  stdout.write(`${at}\n`)
}
