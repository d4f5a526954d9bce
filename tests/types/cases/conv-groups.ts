import { conv2d } from '../prelude.js'

conv2d(3, 16, 3, { groups: 2 })
