import { parameter, zeros } from '../prelude.js'

parameter(zeros([2, 3]).trace())
