import { type Parameter, zeros } from '../prelude.js'

export class Net {
  weight: Parameter<[2, 3]> = zeros([2, 3]).trace()
}
