import { readFileSync } from 'node:fs'

/** A file that tools/golden wrote from PyTorch. */
export const goldenBytes = (path: string): Uint8Array => readFileSync(new URL(`golden/${path}`, import.meta.url))

/** Such a file of JSON. The type is that of the script that wrote it. */
export const golden = <X extends { readonly torch: string }>(path: string): X =>
  JSON.parse(new TextDecoder().decode(goldenBytes(path)))
