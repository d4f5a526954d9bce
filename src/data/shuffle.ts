import type { Generator } from '../tensor/generator.js'

/** SplitMix32 (Steele, Lea, Flood, 2014, reduced to 32 bits): uniform u32 numbers from a seed. */
function splitMix(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return (z ^ (z >>> 16)) >>> 0
  }
}

/** 0 … count − 1 in random order (Fisher and Yates), one draw of the generator. */
export function permutation(count: number, generator: Generator): Uint32Array {
  const [a, b] = generator.next()
  const random = splitMix((a ^ Math.imul(b + 1, 0x9e3779b1)) >>> 0)
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor((random() / 2 ** 32) * (i + 1))
    const kept = order[i] ?? 0
    order[i] = order[j] ?? 0
    order[j] = kept
  }
  return order
}
