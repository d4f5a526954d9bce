/** How far a pass over files is, in bytes. */
export interface FilesProgress {
  /** Some ways measure the files first. */
  readonly pass: 'measure' | 'write'
  readonly done: number
  readonly total: number
}

/** What all functions take that read whole files. */
export interface ReadFilesOptions {
  readonly onProgress?: ((progress: FilesProgress) => void) | undefined
  /** Aborting it rejects the promise with its reason; what was being written is taken away. */
  readonly signal?: AbortSignal | undefined
}
