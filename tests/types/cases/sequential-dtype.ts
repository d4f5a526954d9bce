import { linear, sequential } from '../prelude.js'

sequential(linear(4, 5), linear(5, 6, { dtype: 'f64' }))
