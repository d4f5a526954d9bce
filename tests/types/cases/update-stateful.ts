import { clone, linear, swa, update } from '../prelude.js'

const source = linear(784, 10)
update({ target: clone(source), source }, swa())
