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
 * `f.call(g, [p, n])`.
 */
import { OptionError } from '../../shapes/errors.js'
import {
  bytes,
  type Code,
  codeOf,
  effects,
  type I32Like,
  type Like,
  u32,
  Value,
  type ValueType,
  valueTypeCode,
} from './instructions.js'

export * from './instructions.js'

/** A local variable: a value that can be assigned with `FunctionBuilder.set`. */
export class Local<T extends ValueType = ValueType> extends Value<T> {
  declare readonly index: number
  /** Code that takes its new value from the stack. */
  declare readonly assign: Code
  constructor(type: T, index: number) {
    const at = u32(index)
    super(type, `\x20${at}`)
    this.index = index
    this.assign = `\x21${at}`
  }
}

/** Where a branch can go: the end of a `block`, the start of a `loop`. */
export interface Label {
  readonly depth: number
}

type Locals<P extends readonly ValueType[]> = { readonly [I in keyof P]: Local<P[I]> }
type Arguments<P extends readonly ValueType[]> = { readonly [I in keyof P]: Like<P[I]> }
export type Result = ValueType | 'none'

/** A function that can be called: imported or built here. */
export class FunctionRef<P extends readonly ValueType[] = readonly ValueType[], R extends Result = Result> {
  constructor(
    readonly name: string,
    readonly index: number,
    readonly parameters: P,
    readonly result: R,
  ) {}
}

/** A kind of function that is called by its position in the table. */
export class IndirectRef<P extends readonly ValueType[] = readonly ValueType[]> {
  constructor(
    readonly type: Code,
    readonly parameters: P,
  ) {}
}

export class FunctionBuilder<
  P extends readonly ValueType[] = readonly ValueType[],
  R extends Result = Result,
> extends FunctionRef<P, R> {
  readonly params: Locals<P>
  readonly #locals: ValueType[] = []
  #body: Code = ''
  #depth = 0

  constructor(name: string, index: number, parameters: P, result: R) {
    super(name, index, parameters, result)
    this.params = parameters.map((type, i) => new Local(type, i)) as unknown as Locals<P>
  }

  /** A new local, zero at the function's start. */
  local<T extends ValueType>(type: T): Local<T> {
    this.#locals.push(type)
    return new Local(type, this.parameters.length + this.#locals.length - 1)
  }
  /** A new local holding the value. */
  let<T extends ValueType>(value: Value<T>): Local<T> {
    const x = this.local(value.type)
    this.#body += value.code + x.assign
    return x
  }
  set<T extends ValueType>(x: Local<T>, value: Value<NoInfer<T>> | number): void {
    this.#body += codeOf(x.type, value) + x.assign
  }
  /** `x += by`. */
  inc(x: Local<'i32'>, by: I32Like): void {
    this.set(x, x.add(by))
  }
  /** Opcodes as they are: for what the layer above does not name. */
  raw(code: Code): void {
    this.#body += code
  }
  drop(value: Value): void {
    this.raw(`${value.code}\x1a`)
  }

  store(address: I32Like, value: Value, offset = 0): void {
    this.raw(codeOf('i32', address) + value.code + effects.store[value.type] + u32(offset))
  }
  /** One lane of 32 bits, or of `size` bytes. */
  storeLane(address: I32Like, value: Value<'v128'>, lane: number, offset = 0, size: 2 | 4 | 8 = 4): void {
    this.raw(codeOf('i32', address) + value.code + effects.storeLane[size] + u32(offset) + bytes(lane))
  }
  atomicStore(address: I32Like, value: I32Like, offset = 0): void {
    this.raw(codeOf('i32', address) + codeOf('i32', value) + effects.atomicStore + u32(offset))
  }
  memoryCopy(to: I32Like, from: I32Like, bytes: I32Like): void {
    this.raw(codeOf('i32', to) + codeOf('i32', from) + codeOf('i32', bytes) + effects.memoryCopy)
  }
  memoryFill(to: I32Like, byte: I32Like, bytes: I32Like): void {
    this.raw(codeOf('i32', to) + codeOf('i32', byte) + codeOf('i32', bytes) + effects.memoryFill)
  }
  /** A result is dropped. */
  call<Q extends readonly ValueType[]>(f: FunctionRef<Q, Result>, args: Arguments<Q>): void {
    const list: readonly (Value | number)[] = args
    let code = ''
    f.parameters.forEach((type, i) => {
      code += codeOf(type, list[i] ?? 0)
    })
    this.raw(`${code}\x10${u32(f.index)}${f.result === 'none' ? '' : '\x1a'}`)
  }

  /** Calls the function at a position of the table. */
  callIndirect<Q extends readonly ValueType[]>(kind: IndirectRef<Q>, position: Value<'i32'>, args: Arguments<Q>): void {
    const list: readonly (Value | number)[] = args
    const code = kind.parameters.map((type, i) => codeOf(type, list[i] ?? 0))
    this.raw(`${code.join('')}${position.code}\x11${kind.type}\0`)
  }

  block(body: (exit: Label) => void): void {
    this.#nest('\x02', body)
  }
  /** Runs once; branch to the label to run again. */
  loop(body: (again: Label) => void): void {
    this.#nest('\x03', body)
  }
  br(to: Label): void {
    this.raw(`\x0c${u32(this.#depth - to.depth)}`)
  }
  brIf(to: Label, condition: Value<'i32'>): void {
    this.raw(`${condition.code}\x0d${u32(this.#depth - to.depth)}`)
  }
  if(condition: Value<'i32'>, then: () => void, otherwise?: () => void): void {
    this.raw(condition.code)
    this.#nest('\x04', () => {
      then()
      if (otherwise) {
        this.raw('\x05')
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
    this.raw(`${value?.code ?? ''}\x0f`)
  }
  unreachable(): void {
    this.raw('\0')
  }

  #nest(opcode: Code, body: (label: Label) => void): void {
    this.raw(`${opcode}\x40`)
    this.#depth++
    body({ depth: this.#depth })
    this.#depth--
    this.raw('\x0b')
  }

  /** @internal */
  encode(): Code {
    let groups = 0
    let declared = ''
    for (let i = 0; i < this.#locals.length; groups++) {
      const type = this.#locals[i] ?? 'i32'
      const start = i
      while (this.#locals[i] === type) i++
      declared += u32(i - start) + valueTypeCode[type]
    }
    return sized(`${u32(groups)}${declared}${this.#body}\x0b`)
  }
}

const sized = (content: Code): Code => u32(content.length) + content
const vector = (items: readonly Code[]): Code => u32(items.length) + items.join('')
const section = (id: number, items: readonly Code[]): Code =>
  items.length === 0 ? '' : bytes(id) + sized(vector(items))

export interface ModuleOptions {
  /** Whether the imported memory is shared between threads. Default: false. */
  readonly shared?: boolean
  /** Most pages the imported memory may have; needed when shared. Default: 65536. */
  readonly maximum?: number
}

/** A module that imports its memory as `env.memory`. Import functions before building the first one. */
export class ModuleBuilder {
  readonly #types: Code[] = []
  readonly #imports: Code[] = []
  readonly #functions: FunctionBuilder[] = []
  readonly #functionTypes: Code[] = []
  readonly #exports: Code[] = []
  #imported = 0
  #table = false

  constructor(readonly options: ModuleOptions = {}) {
    const maximum = options.maximum ?? 65536
    this.#imports.push(`${sized('env')}${sized('memory')}\x02${options.shared ? '\x03' : '\x01'}\0${u32(maximum)}`)
  }

  /** A function from outside, names in ASCII: `{ [module]: { [name]: … } }` when instantiated. */
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
    this.#imports.push(`${sized(module)}${sized(name)}\0${type}`)
    return new FunctionRef(name, this.#imported++, parameters, (result ?? 'none') as R)
  }

  /** Functions without a result that are called by their position in the table `env.table`. */
  indirect<const P extends readonly ValueType[]>(parameters: P): IndirectRef<P> {
    if (!this.#table) this.#imports.push(`${sized('env')}${sized('table')}\x01\x70\0\0`)
    this.#table = true
    return new IndirectRef(this.#type(parameters, 'none'), parameters)
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
    if (options.export) this.#exports.push(`${sized(name)}\0${u32(built.index)}`)
    return built
  }

  build(): Uint8Array<ArrayBuffer> {
    const code =
      `\0asm\x01\0\0\0${section(1, this.#types)}${section(2, this.#imports)}${section(3, this.#functionTypes)}` +
      section(7, this.#exports) +
      section(
        10,
        this.#functions.map((f) => f.encode()),
      )
    const binary = new Uint8Array(code.length)
    for (let i = 0; i < binary.length; i++) binary[i] = code.charCodeAt(i)
    return binary
  }

  /** Number of a signature, as code. */
  #type(parameters: readonly ValueType[], result: Result): Code {
    const results = result === 'none' ? [] : [valueTypeCode[result]]
    const code = `\x60${vector(parameters.map((t) => valueTypeCode[t]))}${vector(results)}`
    const known = this.#types.indexOf(code)
    return u32(known >= 0 ? known : this.#types.push(code) - 1)
  }
}
