import { tensor } from '../prelude.js'

tensor([[1, 2], [3]])
