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
  readonly #answer: () => Promise<unknown>

  private constructor(child: ChildProcess, answer: () => Promise<unknown>, hello: Hello) {
    this.#child = child
    this.#answer = answer
    this.hello = hello
  }

  /** Ready when the workload is built. */
  static async start([program, ...args]: Command): Promise<Player> {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    let complaints = ''
    child.stderr.on('data', (chunk: Buffer) => {
      complaints = (complaints + chunk.toString()).slice(-16384)
    })
    // A pipe to a process that has ended is no news: its missing answer says so.
    child.stdin.on('error', () => {})
    const ended = new Promise<never>((_, reject) => {
      child.once('error', reject).once('close', () => reject(new Error(reason(complaints))))
    })
    ended.catch(() => {})
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const answer = async (): Promise<unknown> => {
      const { value, done } = await Promise.race([lines.next(), ended])
      return done ? ended : JSON.parse(value)
    }
    return new Player(child, answer, (await answer()) as Hello)
  }

  async round(milliseconds: number): Promise<Round> {
    this.#child.stdin?.write(`${JSON.stringify({ milliseconds })}\n`)
    return (await this.#answer()) as Round
  }

  async end(): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.stdin?.end()
    await exit
  }
}

/** The line of an error in what a process wrote to stderr, else its last line. */
function reason(complaints: string): string {
  const lines = complaints.split('\n').filter((line) => line.trim() !== '')
  const error = lines.filter((line) => /^\w*(Error|Exception)\b/.test(line)).at(-1)
  return error ?? lines.at(-1) ?? 'the process ended without an answer'
}
