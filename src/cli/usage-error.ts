import { DfdtError } from '../tensor/errors.js'

/** The command line was typed wrongly, or lacks something only the person at the keyboard can give: exit code 2. */
export class UsageError extends DfdtError {
  readonly code = 'USAGE'
}
