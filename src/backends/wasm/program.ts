/**
 * A whole program as one WebAssembly function: kernel calls with fixed argument blocks, and barriers between phases.
 * Between runs only the words of host scalars change. The function has the signature of a kernel, so threads run it
 * as they run any other; each calls every kernel with its own number, and waits at each barrier for the others.
 */
import type { Plan, PlanGuard, PlanStep } from '../../kernels/plan.js'
import type { DType } from '../../tensor/dtype.js'
import type { Executable } from '../../tensor/backend.js'
import { type FunctionRef, i32, i64, ModuleBuilder } from './assembler.js'
import { newEntryId, type Target } from './generated.js'
import { type Entry, foundWord, kernelParameters, type Launch, type Prepared, scratch } from './launch.js'
import { bitsOf } from './lowering.js'
import type { Check, Job, Part } from './work-queue.js'

/** What a program needs of the backend. */
export interface ProgramHost {
  readonly target: Target
  readonly threads: number
  /** The memory as words, read anew each time: it moves when it grows. */
  readonly words: Int32Array
  prepare(step: PlanStep): Prepared
  /** Address of the program's buffer at this position. */
  address(buffer: number): number
  allocate(byteLength: number): number
  free(address: number): void
  /** Runs it, on all threads if that pays, or gives it to a queue. */
  run(job: Job): void
  /** Runs what the job does part by part; gives the time of each, ns. */
  profile(job: Job, parts: readonly Part[]): Promise<readonly number[]>
}

/** Polls of the barrier before a thread sleeps: some 20 µs, as long as it takes to wake one. */
const spins = 40_000
/** A sleeping thread looks around after this long, ns. */
const slice = 10_000_000n
const align = (bytes: number) => Math.ceil(bytes / 64) * 64
/** The barrier: how many have come, and on cache lines of their own the number of the phase and how many sleep. */
const [phaseAt, sleepersAt, barrierBytes] = [64, 128, 256]
/** Conditions of the host are words behind the barrier. */
const guardBytes = 4

/** A launch with the address of its block and its share of the scratch memory. */
interface Placed {
  readonly launch: Launch
  readonly step: PlanStep
  readonly params: number
  /** Addresses of words that must not be 0. */
  readonly guards: readonly number[]
  readonly check: Prepared['check']
  /** Rough time of what threads can share: 0 where the scratch memory is for one. */
  readonly nanoseconds: number
}

interface PlacedStep {
  readonly step: PlanStep
  readonly prepared: Prepared
  readonly scratch: number
  readonly launches: Placed[]
}

interface PlacedPhase {
  readonly shared: readonly PlacedStep[]
  readonly single: readonly PlacedStep[]
}

export function makeProgram(plan: Plan, host: ProgramHost): Executable {
  const prepared = plan.phases.map(({ shared, single }) => ({
    shared: shared.map((step) => ({ step, prepared: host.prepare(step) })),
    single: single.map((step) => ({ step, prepared: host.prepare(step) })),
  }))
  // Scratch memory: kernels of a phase run side by side, the chain of one thread after each other.
  const scratchOf = ({ prepared }: { prepared: Prepared }, threads: number) => align(prepared.scratchBytes(threads))
  const scratchBytes = prepared.reduce((most, { shared, single }) => {
    const side = shared.reduce((sum, step) => sum + scratchOf(step, host.threads), 0)
    return Math.max(most, side + single.reduce((largest, step) => Math.max(largest, scratchOf(step, 1)), 0))
  }, 0)
  const all = prepared.flatMap(({ shared, single }) => [...shared, ...single])
  const blockBytes = all.reduce(
    (sum, step) => sum + step.prepared.launches.reduce((n, { block }) => n + align(block.byteLength), 0),
    0,
  )
  const positions = all.flatMap(({ step }) => step.guards.flatMap((guard) => ('scalar' in guard ? [guard.scalar] : [])))
  const conditions = [...new Set(positions)]
  const headBytes = barrierBytes + align(conditions.length * guardBytes)
  const base = host.allocate(headBytes + blockBytes + scratchBytes)
  const scratchStart = base + headBytes + blockBytes
  const conditionAt = (i: number) => base + barrierBytes + i * guardBytes
  const guardAt = (guard: PlanGuard): number =>
    'scalar' in guard ? conditionAt(conditions.indexOf(guard.scalar)) : host.address(guard.buffer) + guard.byteOffset

  let next = base + headBytes
  const place = (
    { step, prepared: ready }: { step: PlanStep; prepared: Prepared },
    from: number,
    alone: boolean,
  ): PlacedStep => {
    const launches = ready.launches.map((launch, i) => {
      const params = next
      next += align(launch.block.byteLength)
      const words = host.words
      words.set(launch.block, params >>> 2)
      for (const { word, operand, bytes } of launch.pointers) {
        const address = operand === scratch ? from : host.address(step.buffers[operand] ?? 0)
        words[(params >>> 2) + word] = address + bytes
      }
      const nanoseconds = alone ? 0 : launch.nanoseconds
      const check = i === 0 ? ready.check : undefined
      return { launch, step, params, guards: step.guards.map(guardAt), check, nanoseconds }
    })
    return { step, prepared: ready, scratch: from, launches }
  }
  const phases: PlacedPhase[] = prepared.map(({ shared, single }) => {
    let from = scratchStart
    const side = shared.map((step) => {
      const placed = place(step, from, false)
      from += scratchOf(step, host.threads)
      return placed
    })
    return { shared: side, single: single.map((step) => place(step, from, true)) }
  })
  const flags = conditions.map((position, i) => ({ word: conditionAt(i) >>> 2, position, dtype: 'bool' as const }))
  return new WasmProgram(phases, base, flags, host)
}

/** Where a host scalar goes. */
interface ScalarPlace {
  readonly word: number
  readonly position: number
  readonly dtype: DType
}

const checkOf = ({ check, params }: Placed): readonly Check[] => (check ? [{ at: params >>> 2, test: check }] : [])

class WasmProgram implements Executable {
  readonly #steps: readonly PlanStep[]
  readonly #launches: readonly Placed[]
  /** Host scalars, whose values are the last of the job's fills. */
  readonly #scalars: readonly ScalarPlace[]
  readonly #job: Job

  constructor(
    phases: readonly PlacedPhase[],
    private readonly base: number,
    conditions: readonly ScalarPlace[],
    private readonly host: ProgramHost,
  ) {
    const placed = phases.flatMap(({ shared, single }) => [...shared, ...single])
    this.#steps = placed.map(({ step }) => step)
    this.#launches = placed.flatMap(({ launches }) => launches)
    const scalars = this.#launches.flatMap(({ launch, step, params }) =>
      launch.scalars.map(({ word, slot, dtype }) => ({
        word: (params >>> 2) + word,
        position: step.scalars[slot] ?? 0,
        dtype,
      })),
    )
    this.#scalars = [...conditions, ...scalars]
    // Only shared kernels gain from other threads.
    const nanoseconds = this.#launches.reduce((sum, placed) => sum + placed.nanoseconds, 0)
    const checks = this.#launches.flatMap(checkOf)
    // A run that broke off may have left the barrier half full, and sleepers who never woke; and a condition may skip the
    // kernel that would say that all is well again.
    const resets = [base >>> 2, 0, (base + sleepersAt) >>> 2, 0, ...checks.flatMap(({ at }) => [at + foundWord, -1])]
    this.#job = {
      entry: emitProgram(phases, base, host.target),
      params: base,
      nanoseconds,
      total: this.#launches.reduce((sum, { launch }) => sum + launch.nanoseconds, 0),
      fills: Int32Array.from([...resets, ...this.#scalars.flatMap(({ word }) => [word, 0])]),
      checks,
    }
  }

  run(table: Float64Array): void {
    this.#fill(table)
    this.host.run(this.#job)
  }

  profile(table: Float64Array): Promise<readonly number[]> {
    this.#fill(table)
    const parts = this.#launches.map((placed): Part => {
      const { launch, params, guards, nanoseconds } = placed
      const { entry } = launch
      return { entry, params, nanoseconds, checks: checkOf(placed), guards: guards.map((address) => address >>> 2) }
    })
    const coming = this.host.profile(this.#job, parts)
    return coming.then((each) => {
      // Also those without a launch, such as kernels on empty tensors.
      const times = new Map<PlanStep, number>(this.#steps.map((step) => [step, 0]))
      this.#launches.forEach(({ step }, i) => {
        times.set(step, (times.get(step) ?? 0) + (each[i] ?? 0))
      })
      return [...times.values()]
    })
  }

  release(): void {
    this.host.free(this.base)
  }

  #fill(table: Float64Array): void {
    const { fills } = this.#job
    let at = fills.length - 2 * this.#scalars.length + 1
    for (const { position, dtype } of this.#scalars) {
      fills[at] = bitsOf(table[position] ?? 0, dtype)
      at += 2
    }
  }
}

/** The function that calls everything, in a module that imports the kernels. */
function emitProgram(phases: readonly PlacedPhase[], base: number, target: Target): Entry {
  const module = new ModuleBuilder({ shared: target.shared, maximum: target.maximumPages })
  const steps = phases.flatMap(({ shared, single }) => [...shared, ...single])
  const imports = new Map<number, Entry>()
  for (const { launches } of steps) for (const { launch } of launches) imports.set(launch.entry.id, launch.entry)
  const kernels = new Map<number, FunctionRef<typeof kernelParameters, 'none'>>()
  for (const id of imports.keys()) kernels.set(id, module.import('kernels', String(id), kernelParameters))
  const barrier = target.shared ? emitBarrier(module) : undefined
  const fn = module.function('run', kernelParameters, { export: true })
  const [, thread, threads] = fn.params
  const call = ({ launch, params, guards }: Placed, alone: boolean): void => {
    const kernel = kernels.get(launch.entry.id)
    if (!kernel) return
    const run = () => fn.call(kernel, alone ? [params, 0, 1] : [params, thread, threads])
    const guarded = guards.reduce((inner, address) => () => fn.if(i32.load(i32.const(address)), inner), run)
    guarded()
  }
  const found = ({ params }: Placed) => i32.load(params, 4 * foundWord).ge(0)
  phases.forEach(({ shared, single }, phase) => {
    const chain = single.flatMap(({ launches }) => launches)
    if (chain.length > 0)
      fn.if(thread.eq(0), () =>
        fn.block((invalid) => {
          for (const placed of chain) {
            call(placed, true)
            if (placed.check) fn.brIf(invalid, found(placed))
          }
        }),
      )
    // Once all have come to the barrier, all see what a check has found, and leave together.
    let checks = chain.filter(({ check }) => check)
    // Kernels of several passes wait for each pass; all of a phase wait together.
    const passes = Math.max(1, ...shared.map(({ launches }) => launches.length))
    for (let pass = 0; pass < passes; pass++) {
      for (const { launches } of shared) {
        const placed = launches[pass]
        if (placed) call(placed, false)
        if (placed?.check) checks.push(placed)
      }
      const last = phase === phases.length - 1 && pass === passes - 1
      if (last) continue
      if (barrier) fn.call(barrier, [base, threads])
      for (const placed of checks) fn.if(found(placed), () => fn.return())
      checks = []
    }
  })
  return {
    id: newEntryId(),
    module: new WebAssembly.Module(module.build()),
    name: 'run',
    imports: [...imports.values()],
  }
}

/**
 * All threads wait until the last has come. Spinning alone would burn the partner's time slice where cores are short.
 * Who waits long calls `env.waited`, which throws when the others will never come.
 */
function emitBarrier(module: ModuleBuilder): FunctionRef<readonly ['i32', 'i32'], 'none'> {
  const waited = module.import('env', 'waited', [])
  const fn = module.function('barrier', ['i32', 'i32'])
  const [at, threads] = fn.params
  const phase = fn.local('i32')
  const spin = fn.local('i32')
  const woken = fn.local('i32')
  fn.if(threads.gt(1), () => {
    fn.set(phase, i32.atomicLoad(at, phaseAt))
    fn.if(
      i32.atomicAdd(at, 1).add(1).eq(threads),
      () => {
        fn.atomicStore(at, 0)
        fn.atomicStore(at, phase.add(1), phaseAt)
        fn.if(i32.atomicLoad(at, sleepersAt), () => fn.drop(i32.atomicNotify(at, 1 << 20, phaseAt)))
      },
      () => {
        fn.while(i32.atomicLoad(at, phaseAt).eq(phase), () => {
          fn.inc(spin, 1)
          fn.if(spin.gt(spins), () => {
            fn.drop(i32.atomicAdd(at, 1, sleepersAt))
            fn.set(woken, i32.atomicWait(at, phase, i64.const(slice), phaseAt))
            fn.drop(i32.atomicSub(at, 1, sleepersAt))
            fn.if(woken.eq(2), () => fn.call(waited, []))
          })
        })
      },
    )
  })
  return fn
}
