import { embedding, linear, sequential } from '../prelude.js'

sequential(linear(4, 5), embedding(10, 3))
