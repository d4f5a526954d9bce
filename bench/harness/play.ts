import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Hello, Round } from './protocol.js'

/** How to start a player: a program and its arguments. */
export type Command = readonly [program: string, ...args: string[]]

/** A process that plays one workload, as its parent sees it. */
export class Player {
  readonly hello: Hello
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, hello: Hello) {
    this.#child = child
    this.#lines = lines
    this.hello = hello
  }

  /** Ready when the workload is built. */
  static async start([program, ...args]: Command): Promise<Player> {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const failed = once(child, 'error').then(([error]) => Promise.reject(error as Error))
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    // A pipe to a process that has ended is no news: its missing answer says so.
    child.stdin.on('error', () => {})
    return new Player(child, lines, (await Promise.race([answer(lines), failed])) as Hello)
  }

  async round(milliseconds: number): Promise<Round> {
    this.#child.stdin?.write(`${JSON.stringify({ milliseconds })}\n`)
    return (await answer(this.#lines)) as Round
  }

  async end(): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.stdin?.end()
    await exit
  }
}

async function answer(lines: AsyncIterator<string>): Promise<unknown> {
  const { value, done } = await lines.next()
  if (done) throw new Error('the process ended without an answer')
  return JSON.parse(value)
}
