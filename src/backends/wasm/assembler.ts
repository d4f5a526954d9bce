/**
 * A small assembler that writes WebAssembly binaries. Two layers: `instructions.ts` holds every opcode under
 * the name of the text format as a function on typed values; `FunctionBuilder` adds locals, statements and
 * structured control, so that a kernel reads like the loop it is.
 *
 * @example
 * ```ts
 * const m = new ModuleBuilder({ shared: true })                    // imports memory env.memory
 * const f = m.function('scale', ['i32', 'i32', 'f32'], { export: true })
 * const [p, n, factor] = f.params                                 // typed by the signature; locals may be assigned
 * const k = f.let(f32x4.splat(factor))                            // evaluated once, kept in a new local
 * f.while(n.gt(0), () => {
 *   f.store(p, f32x4.mul(v128.load(p), k))                        // offsets: v128.load(p, 16), f.store(p, x, 16)
 *   f.inc(p, 16)
 *   f.inc(n, -4)
 * })
 * const module = new WebAssembly.Module(m.build())                 // instantiate with { env: { memory } }
 * ```
 *
 * Values are code: a value used twice is evaluated twice. `f.let(value)` makes it a local.
 * Addresses are unsigned 32-bit numbers that may exceed 2 GiB: never compare them signed; count instead.
 * Functions call each other by reference, also before the callee's body is written:
 * `f.call(g, [p, n])` for a call without result, `g.invoke([p, n])` for its value.
 */
import { OptionError } from '../../shapes/errors.js'
import {
  codeOf,
  effects,
  type I32Like,
  type Like,
  u32,
  Value,
  type ValueOf,
  type ValueType,
  typedValue,
  valueTypeCode,
} from './instructions.js'

export * from './instructions.js'

/** A local variable: a value that can be assigned with `FunctionBuilder.set`. */
export type Local<T extends ValueType = ValueType> = ValueOf<T> & { readonly index: number }

/** Where a branch can go: the end of a `block`, the start of a `loop`. */
export interface Label {
  readonly depth: number
}

type Locals<P extends readonly ValueType[]> = { readonly [I in keyof P]: Local<P[I]> }
type Arguments<P extends readonly ValueType[]> = { readonly [I in keyof P]: Like<P[I]> }
export type Result = ValueType | 'none'

function local<T extends ValueType>(type: T, index: number): Local<T>
function local(type: ValueType, index: number): Local {
  return Object.assign(typedValue(type, [0x20, ...u32(index)]), { index })
}

/** A function that can be called: imported or built here. */
export class FunctionRef<P extends readonly ValueType[] = readonly ValueType[], R extends Result = Result> {
  constructor(
    readonly name: string,
    readonly index: number,
    readonly parameters: P,
    readonly result: R,
  ) {}

  /** @internal */
  callCode(args: Arguments<P>): number[] {
    const list: readonly (Value | number)[] = args
    return [...this.parameters.flatMap((type, i) => codeOf(type, list[i] ?? 0)), 0x10, ...u32(this.index)]
  }
  /** The call as a value. */
  invoke(args: Arguments<P>): R extends ValueType ? ValueOf<R> : never
  invoke(args: Arguments<P>): Value {
    return typedValue(this.result === 'none' ? 'i32' : this.result, this.callCode(args))
  }
}

export class FunctionBuilder<
  P extends readonly ValueType[] = readonly ValueType[],
  R extends Result = Result,
> extends FunctionRef<P, R> {
  readonly params: Locals<P>
  readonly #locals: ValueType[] = []
  readonly #body: number[] = []
  #depth = 0

  constructor(name: string, index: number, parameters: P, result: R) {
    super(name, index, parameters, result)
    this.params = parameters.map((type, i) => local(type, i)) as unknown as Locals<P>
  }

  /** A new local, zero at the function's start. */
  local<T extends ValueType>(type: T): Local<T> {
    this.#locals.push(type)
    return local(type, this.parameters.length + this.#locals.length - 1)
  }
  /** A new local holding the value. */
  let<T extends ValueType>(value: Value<T>): Local<T> {
    const x = this.local(value.type)
    this.raw([...value.code, 0x21, ...u32(x.index)])
    return x
  }
  set<T extends ValueType>(x: Value<T> & { readonly index: number }, value: Value<NoInfer<T>> | number): void {
    this.raw([...codeOf(x.type, value), 0x21, ...u32(x.index)])
  }
  /** `x += by`. */
  inc(x: Local<'i32'>, by: I32Like): void {
    this.set(x, x.add(by))
  }
  /** Opcodes as they are: for what the layer above does not name. */
  raw(code: readonly number[]): void {
    for (const byte of code) this.#body.push(byte)
  }
  drop(value: Value): void {
    this.raw([...value.code, 0x1a])
  }

  store(address: I32Like, value: Value, offset = 0): void {
    this.raw([
      ...codeOf('i32', address),
      ...value.code,
      ...effects.store[value.type],
      ...u32(effects.alignment[value.type]),
      ...u32(offset),
    ])
  }
  /** One 32-bit lane. */
  storeLane(address: I32Like, value: Value<'v128'>, lane: number, offset = 0): void {
    this.raw([...codeOf('i32', address), ...value.code, ...effects.store32_lane, ...u32(2), ...u32(offset), lane])
  }
  /** Two 32-bit lanes: 0 the lower, 1 the upper half. */
  storeHalf(address: I32Like, value: Value<'v128'>, half: number, offset = 0): void {
    this.raw([...codeOf('i32', address), ...value.code, ...effects.store64_lane, ...u32(3), ...u32(offset), half])
  }
  atomicStore(address: I32Like, value: I32Like, offset = 0): void {
    this.raw([...codeOf('i32', address), ...codeOf('i32', value), ...effects.atomicStore, ...u32(2), ...u32(offset)])
  }
  memoryCopy(to: I32Like, from: I32Like, bytes: I32Like): void {
    this.raw([...codeOf('i32', to), ...codeOf('i32', from), ...codeOf('i32', bytes), ...effects.memoryCopy])
  }
  memoryFill(to: I32Like, byte: I32Like, bytes: I32Like): void {
    this.raw([...codeOf('i32', to), ...codeOf('i32', byte), ...codeOf('i32', bytes), ...effects.memoryFill])
  }
  call<Q extends readonly ValueType[]>(f: FunctionRef<Q, Result>, args: Arguments<Q>): void {
    this.raw(f.callCode(args))
    if (f.result !== 'none') this.raw([0x1a])
  }

  block(body: (exit: Label) => void): void {
    this.#nest(0x02, body)
  }
  /** Runs once; branch to the label to run again. */
  loop(body: (again: Label) => void): void {
    this.#nest(0x03, body)
  }
  br(to: Label): void {
    this.raw([0x0c, ...u32(this.#depth - to.depth)])
  }
  brIf(to: Label, condition: Value<'i32'>): void {
    this.raw([...condition.code, 0x0d, ...u32(this.#depth - to.depth)])
  }
  if(condition: Value<'i32'>, then: () => void, otherwise?: () => void): void {
    this.raw(condition.code)
    this.#nest(0x04, () => {
      then()
      if (otherwise) {
        this.raw([0x05])
        otherwise()
      }
    })
  }
  /** Tested at the end of each round (and once before the first): one branch a round. */
  while(condition: Value<'i32'>, body: () => void): void {
    this.if(condition, () => this.doWhile(body, condition))
  }
  doWhile(body: () => void, condition: Value<'i32'>): void {
    this.loop((again) => {
      body()
      this.brIf(again, condition)
    })
  }
  /** `for (i = from; i < to; i += step)`, signed. */
  for(i: Local<'i32'>, from: I32Like, to: I32Like, step: number, body: () => void): void {
    this.set(i, from)
    this.while(i.lt(to), () => {
      body()
      this.inc(i, step)
    })
  }
  return(value?: Value): void {
    this.raw([...(value?.code ?? []), 0x0f])
  }
  unreachable(): void {
    this.raw([0x00])
  }

  #nest(opcode: number, body: (label: Label) => void): void {
    this.raw([opcode, 0x40])
    this.#depth++
    body({ depth: this.#depth })
    this.#depth--
    this.raw([0x0b])
  }

  /** @internal */
  encode(): number[] {
    const groups: [count: number, type: ValueType][] = []
    for (const type of this.#locals) {
      const last = groups[groups.length - 1]
      if (last?.[1] === type) last[0]++
      else groups.push([1, type])
    }
    const declared = groups.flatMap(([count, type]) => [...u32(count), valueTypeCode[type]])
    return sized([u32(groups.length), declared, this.#body, [0x0b]])
  }
}

const join = (parts: readonly (readonly number[])[]): number[] => {
  const all: number[] = []
  for (const part of parts) for (const byte of part) all.push(byte)
  return all
}
const sized = (parts: readonly (readonly number[])[]): number[] => {
  const content = join(parts)
  return join([u32(content.length), content])
}
const text = (s: string): number[] => sized([[...new TextEncoder().encode(s)]])
const section = (id: number, items: readonly (readonly number[])[]): number[] =>
  items.length === 0 ? [] : join([[id], sized([u32(items.length), ...items])])

export interface ModuleOptions {
  /** Whether the imported memory is shared between threads. Default: false. */
  readonly shared?: boolean
  /** Most pages the imported memory may have; needed when shared. Default: 65536. */
  readonly maximum?: number
}

/** A module that imports its memory as `env.memory`. Import functions before building the first one. */
export class ModuleBuilder {
  readonly #types: number[][] = []
  readonly #imports: number[][] = []
  readonly #functions: FunctionBuilder[] = []
  readonly #functionTypes: number[] = []
  readonly #exports: number[][] = []
  readonly #data: number[][] = []
  #imported = 0

  constructor(readonly options: ModuleOptions = {}) {
    const maximum = options.maximum ?? 65536
    this.#imports.push(join([text('env'), text('memory'), [0x02, options.shared ? 3 : 1], u32(0), u32(maximum)]))
  }

  /** A function from outside: `{ [module]: { [name]: … } }` when instantiated. */
  import<const P extends readonly ValueType[], R extends Result = 'none'>(
    module: string,
    name: string,
    parameters: P,
    result?: R,
  ): FunctionRef<P, R> {
    if (this.#functions.length > 0) {
      throw new OptionError(
        `import "${name}" came after the first function: imports are numbered first, so import before building.`,
      )
    }
    const type = this.#type(parameters, result ?? 'none')
    this.#imports.push(join([text(module), text(name), [0x00], u32(type)]))
    return new FunctionRef(name, this.#imported++, parameters, (result ?? 'none') as R)
  }

  /** A function whose body is written through the builder it returns. */
  function<const P extends readonly ValueType[], R extends Result = 'none'>(
    name: string,
    parameters: P,
    options: { readonly result?: R; readonly export?: boolean } = {},
  ): FunctionBuilder<P, R> {
    const result = (options.result ?? 'none') as R
    const built = new FunctionBuilder(name, this.#imported + this.#functions.length, parameters, result)
    this.#functionTypes.push(this.#type(parameters, result))
    this.#functions.push(built as unknown as FunctionBuilder)
    if (options.export) this.#exports.push(join([text(name), [0x00], u32(built.index)]))
    return built
  }

  /** Bytes written to memory when the module is instantiated. */
  data(address: number, bytes: Uint8Array): void {
    this.#data.push(join([[0], new Value('i32', codeOf('i32', address)).code, [0x0b], sized([[...bytes]])]))
  }

  build(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(
      join([
        [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        section(1, this.#types),
        section(2, this.#imports),
        section(3, this.#functionTypes.map(u32)),
        section(7, this.#exports),
        section(
          10,
          this.#functions.map((f) => f.encode()),
        ),
        section(11, this.#data),
      ]),
    )
  }

  #type(parameters: readonly ValueType[], result: Result): number {
    const results = result === 'none' ? [] : [valueTypeCode[result]]
    const code = [0x60, ...counted(parameters.map((t) => valueTypeCode[t])), ...counted(results)]
    const known = this.#types.findIndex((t) => t.join() === code.join())
    return known >= 0 ? known : this.#types.push(code) - 1
  }
}

const counted = (items: readonly number[]): number[] => [...u32(items.length), ...items]
