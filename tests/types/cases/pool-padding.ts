import { maxPool2d } from '../prelude.js'

maxPool2d(2, { padding: 2 })
