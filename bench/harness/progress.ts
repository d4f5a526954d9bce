/** One line that is overwritten on a terminal, and nothing elsewhere. */
export function progressLine(output: NodeJS.WriteStream): { show: (text: string) => void; clear: () => void } {
  const write = (text: string) => {
    if (output.isTTY) output.write(`\r\u001B[K${text}`)
  }
  return { show: write, clear: () => write('') }
}
